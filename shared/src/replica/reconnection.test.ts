import { expect, test } from "vitest";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import { BusUnavailable } from "../bus/bus.ts";
import { silentLog } from "../log.ts";
import { startReplica } from "./replica.ts";
import { ModelJournal } from "./testing/model-journal.ts";
import { ModelSource } from "./testing/model-source.ts";
import { ReplaceTable } from "./testing/model-table.ts";

test("a question that rests because the bus was away is asked again soon after its return", async () => {
  const clock = createVirtualClock();
  const journal = new ModelJournal();
  const source = new ModelSource(journal, clock);
  const { answering } = source;
  await using replica = startReplica({
    journal: "catalogue",
    source,
    table: new ReplaceTable(journal),
    clock,
    random: () => 1,
    log: silentLog,
    timings: { retryMs: 60_000, retryMaxMs: 60_000, jitterMs: 500 },
  });
  await clock.pass(10);
  source.beacon(journal.head);
  journal.append("a");
  source.answering = () => Promise.reject(new BusUnavailable("disconnected", "away"));
  // Silence: it asks, gets no answer, and rests for a minute.
  await clock.pass(5_000);
  const asked = source.asked.length;
  expect(asked).toBeGreaterThan(1);
  source.answering = answering;
  source.comeBack();
  await clock.pass(249);
  expect(source.asked).toHaveLength(asked);
  await clock.pass(5);
  expect(source.asked).toHaveLength(asked + 1);
  expect(replica.status()).toMatchObject({ applied: 1 });
  // The rest is over, and nobody asks a second time when it would have been.
  source.beacon(journal.head);
  await clock.pass(1_000);
  expect(source.asked).toHaveLength(asked + 1);
});
