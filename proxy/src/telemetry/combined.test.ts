import { expect, test } from "vitest";
import type { ExchangeRecord } from "./access-log.ts";
import { CombinedMetrics } from "./combined.ts";
import { createMetrics } from "./metrics.ts";

const process = (applied: number) =>
  createMetrics({
    version: "1.2.3",
    fleet: () => ({
      replicas: [
        {
          journal: "revocations",
          state: "live",
          applied,
          head: 9,
          stalenessMs: applied * 100,
          gaps: 1,
          resyncs: {},
        },
      ],
      instances: [],
    }),
    resilience: () => ({ circuits: [], retries: [] }),
  });

const exchange = {
  route: "r",
  service: "s",
  method: "GET",
  status: 200,
  durationMs: 2,
} as ExchangeRecord;

const value = (text: string, line: string) =>
  new RegExp(`^${line.replaceAll(/[{}"]/g, "\\$&")} (\\S+)$`, "m").exec(text)?.[1];

test("counts are added, of positions the one that is furthest behind counts, and what the dead have counted stays", async () => {
  const [one, two] = [process(5), process(7)];
  for (let count = 0; count < 3; count += 1) one.record(exchange);
  two.record(exchange);
  one.connectionOpened();
  two.connectionOpened();
  const combined = new CombinedMetrics();
  const total = 'http_requests_total{method="GET",route="r",service="s",status_code="200"}';
  const scrape = async (...living: (typeof one)[]) =>
    (await combined.scrape(await Promise.all(living.map((each) => each.samples())))).text;

  const both = await scrape(one, two);
  expect(value(both, total)).toBe("4");
  expect(value(both, "gateway_active_connections")).toBe("2");
  expect(value(both, 'tocsin_replica_applied{journal="revocations"}')).toBe("5");
  expect(value(both, 'tocsin_replica_staleness_seconds{journal="revocations"}')).toBe("0.7");
  expect(both.match(/^tocsin_build_info\{.*\} (\d)$/m)?.[1]).toBe("1");

  combined.keep(await one.samples());
  const left = await scrape(two);
  expect(value(left, total)).toBe("4");
  expect(left).toContain('route="r",service="s",status_code="200",le="+Inf"} 4');
  expect(value(left, "gateway_active_connections")).toBe("1");
  expect(value(left, 'tocsin_replica_applied{journal="revocations"}')).toBe("7");

  combined.keep(await two.samples());
  expect(value(await scrape(), total)).toBe("4");
});
