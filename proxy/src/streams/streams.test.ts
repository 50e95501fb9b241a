import { expect, test } from "vitest";
import type { Clock } from "@tocsin/shared";
import { goingAway, Streams, unauthorized } from "./streams.ts";
import type { Stream, StreamEnd } from "./streams.ts";

/** Time that passes only when it is told to. */
function handClock(): Clock & { pass(ms: number): void } {
  let now = 0;
  const ticks = new Set<{ every: number; at: number; run: () => void }>();
  return {
    monotonic: () => now,
    wall: () => now,
    after: () => () => {},
    every(every, run) {
      const tick = { every, at: now + every, run };
      ticks.add(tick);
      return () => void ticks.delete(tick);
    },
    pass(ms) {
      for (const end = now + ms; now < end;) {
        now += 1;
        for (const tick of ticks)
          if (tick.at <= now && ticks.has(tick)) {
            tick.at += tick.every;
            tick.run();
          }
      }
    },
  };
}

function stage() {
  const clock = handClock();
  const counted: string[] = [];
  const streams = new Streams(clock, (kind, end) => void counted.push(`${kind} ${end}`));
  const told: string[] = [];
  const open = (name: string, subject?: string): Stream => {
    const stream: Stream = {
      kind: "websocket",
      requestId: name,
      principal: { method: "jwt", ...(subject === undefined ? {} : { subject }) },
      clientAddress: "192.0.2.1",
      route: "r",
      service: "s",
      instance: "i",
      close: (code: number, reason: StreamEnd) => {
        told.push(`${name} ${code} ${reason}`);
        streams.ended(stream, reason);
      },
    };
    streams.opened(stream);
    return stream;
  };
  return { clock, streams, counted, told, open };
}

test("those that are meant are closed, and each is counted once", () => {
  const { streams, counted, told, open } = stage();
  open("a", "eve");
  open("b", "bob");
  const gone = open("c", "eve");
  streams.ended(gone, "closed");
  expect(
    streams.close(({ principal }) => principal?.subject === "eve", unauthorized, "revoked"),
  ).toBe(1);
  streams.ended(gone, "idle");
  expect(told).toEqual(["a 4401 revoked"]);
  expect(counted).toEqual(["websocket closed", "websocket revoked"]);
  expect(streams.size).toBe(1);
  expect(streams.count("websocket")).toBe(1);
  expect(streams.count("event-stream")).toBe(0);
  expect([...streams].map(({ requestId }) => requestId)).toEqual(["b"]);
});

test("all are closed evenly over the time that is given, and late ones at once", async () => {
  const { clock, streams, told, open } = stage();
  for (let index = 0; index < 10; index += 1) open(`s${index}`);
  let done = false;
  const closing = streams.closeAll(goingAway, 1_000).then(() => (done = true));
  expect(told).toEqual([]);
  clock.pass(500);
  expect(told).toHaveLength(5);
  open("late");
  expect(told.at(-1)).toBe("late 1001 shutdown");
  clock.pass(380);
  await Promise.resolve();
  expect(done).toBe(false);
  clock.pass(120);
  await closing;
  expect(told).toHaveLength(11);
  expect(streams.size).toBe(0);
});

test("without a time to spread them over they are closed now, and nobody waits when there are none", async () => {
  const { streams, told, open } = stage();
  await streams.closeAll(goingAway, 1_000);
  open("a");
  await streams.closeAll(goingAway, 0);
  expect(told).toEqual(["a 1001 shutdown"]);
});

test("disposed in the middle, whoever waits for the rest waits no more", async () => {
  const { clock, streams, told, open } = stage();
  open("a");
  const closing = streams.closeAll(goingAway, 1_000);
  streams[Symbol.dispose]();
  streams[Symbol.dispose]();
  await closing;
  clock.pass(2_000);
  expect(told).toEqual([]);
});
