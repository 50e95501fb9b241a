import { systemClock } from "@tocsin/shared";
import { expect, test } from "vitest";
import { createAccessLog } from "./access-log.ts";
import type { ExchangeRecord } from "./access-log.ts";
import { createMetrics } from "./metrics.ts";
import type { FleetReading } from "./metrics.ts";

const record: ExchangeRecord = {
  requestId: "id-1",
  traceId: "0af7651916cd43dd8448eb211c80319c",
  clientAddress: "192.0.2.7",
  method: "GET",
  host: "gw.test",
  path: "/a",
  route: "r",
  service: "a",
  instance: "one",
  status: 200,
  bytesIn: 0,
  bytesOut: 2,
  durationMs: 1.23456,
  overheadMs: 0.4,
  upstreamMs: 0.8,
  code: undefined,
  aborted: undefined,
};

test("an access line is one line of JSON, whatever the client said", () => {
  let text = "";
  using access = createAccessLog(
    (lines) => (text += lines),
    { ...systemClock, wall: () => 1_795_000_000_000 },
    { role: "proxy", node: "n1" },
  );
  access.note(record);
  access.note({
    ...record,
    host: 'a"b\\c\u00e9',
    path: '/"\u0007\n',
    instance: undefined,
    upstreamMs: undefined,
    code: "route-not-found",
    aborted: "client-gone",
  });
  access[Symbol.dispose]();
  const lines = text.split("\n");
  expect(lines).toHaveLength(3);
  expect(JSON.parse(lines[0]!)).toEqual({
    level: "info",
    time: new Date(1_795_000_000_000).toISOString(),
    role: "proxy",
    node: "n1",
    msg: "exchange",
    request_id: "id-1",
    trace_id: "0af7651916cd43dd8448eb211c80319c",
    client_ip: "192.0.2.7",
    method: "GET",
    host: "gw.test",
    path: "/a",
    route: "r",
    service: "a",
    instance: "one",
    status: 200,
    bytes_in: 0,
    bytes_out: 2,
    duration_ms: 1.235,
    upstream_ms: 0.8,
  });
  expect(JSON.parse(lines[1]!)).toMatchObject({
    host: 'a"b\\c\u00e9',
    path: '/"\u0007\n',
    code: "route-not-found",
    aborted: "client-gone",
  });
});

test("durations have three digits behind the point", () => {
  let text = "";
  using access = createAccessLog((lines) => (text += lines), systemClock);
  const values = [0, 0.0004, 0.0006, 0.009, 0.0999, 1, 9.138, 12.05, 999.9999, 3_600_000.5, 9e9];
  for (const durationMs of values) access.note({ ...record, durationMs });
  access[Symbol.dispose]();
  expect([...text.matchAll(/"duration_ms":([\d.]+)/g)].map(([, found]) => found)).toEqual(
    values.map((value) => value.toFixed(3)),
  );
});

test("lines are handed over in batches, and soon", async () => {
  const batches: string[] = [];
  using access = createAccessLog((lines) => void batches.push(lines.toString()), systemClock);
  for (let count = 0; count < 400; count += 1) access.note(record);
  expect(batches.length).toBeGreaterThan(0);
  expect(batches.length).toBeLessThan(10);
  while (batches.join("").split("\n").length !== 401)
    await new Promise((resolve) => setTimeout(resolve, 10));
});

test("histograms are cumulative, begin at half a millisecond, and two registries know nothing of each other", async () => {
  const fleet = () => ({ replicas: [], instances: [] });
  const metrics = createMetrics({ version: "1.2.3", fleet });
  const other = createMetrics({ version: "1.2.3", fleet });
  for (const durationMs of [0.4, 0.5, 0.6, 40, 90_000]) metrics.record({ ...record, durationMs });
  const { text, type } = await metrics.scrape();
  expect(type).toMatch(/^text\/plain/);
  const bucket = (bound: string) =>
    Number(
      new RegExp(
        `http_request_duration_seconds_bucket\\{[^}]*status_code="200"[^}]*le="${bound}"\\} (\\d+)`,
      ).exec(text)?.[1],
    );
  expect(["0\\.0005", "0\\.001", "0\\.05", "30", "\\+Inf"].map(bucket)).toEqual([2, 3, 4, 4, 5]);
  expect(text).toMatch(/http_request_duration_seconds_count\{[^}]*\} 5/);
  expect(text).toMatch(/http_request_duration_seconds_sum\{[^}]*\} 90\.0415/);
  expect(text).toMatch(/tocsin_build_info\{version="1\.2\.3",node="v\d+[^"]*"\} 1/);
  expect((await other.scrape()).text).not.toMatch(/route="r"/);
});

test("replicas and instances are read when they are asked for", async () => {
  let applied = 1;
  const metrics = createMetrics({
    version: "1",
    fleet: (): FleetReading => ({
      replicas: [
        {
          journal: "health",
          state: "live",
          applied,
          head: 9,
          stalenessMs: 1_500,
          gaps: 2,
          resyncs: { epoch: 1, gap: 3 },
        },
        {
          journal: "catalogue",
          state: "cold",
          applied: 0,
          head: 0,
          stalenessMs: undefined,
          gaps: 0,
          resyncs: {},
        },
      ],
      instances: [{ service: "a", instance: "one", healthy: false }],
    }),
  });
  applied = 7;
  const { text } = await metrics.scrape();
  for (const line of [
    'tocsin_replica_state{journal="health",state="live"} 1',
    'tocsin_replica_applied{journal="health"} 7',
    'tocsin_replica_head{journal="health"} 9',
    'tocsin_replica_staleness_seconds{journal="health"} 1.5',
    'tocsin_replica_gaps_total{journal="health"} 2',
    'tocsin_replica_resyncs_total{journal="health",reason="gap"} 3',
    'tocsin_instance_healthy{service="a",instance="one"} 0',
  ])
    expect(text).toContain(line);
  expect(text).not.toMatch(/staleness_seconds\{journal="catalogue"/);
});
