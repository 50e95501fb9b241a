import type { Clock } from "@tocsin/shared";
import { expect, test } from "vitest";
import { Deadline, Deadlines } from "./deadlines.ts";

/** A clock that stands until it is moved. */
function standing(): Clock & { move(byMs: number): void; timers(): number } {
  let now = 0;
  const timers = new Set<{ at: number; run: () => void }>();
  return {
    monotonic: () => now,
    wall: () => now,
    after(delayMs, run) {
      const timer = { at: now + delayMs, run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    every: () => () => {},
    timers: () => timers.size,
    move(byMs) {
      const until = now + byMs;
      for (;;) {
        const due = [...timers]
          .filter(({ at }) => at <= until)
          .toSorted((one, other) => one.at - other.at)[0];
        if (due === undefined) break;
        timers.delete(due);
        now = Math.max(now, due.at);
        due.run();
      }
      now = until;
    },
  };
}

class Noted extends Deadline {
  readonly #note: () => void;
  constructor(note: () => void) {
    super();
    this.#note = note;
  }
  expire(): void {
    this.#note();
  }
}

test("waits expire at their time, in order, once", () => {
  const clock = standing();
  const deadlines = new Deadlines(clock);
  const expired: string[] = [];
  const waits = ["a", "b", "c"].map(
    (name) => new Noted(() => expired.push(`${name}@${clock.monotonic()}`)),
  );
  deadlines.start(waits[0]!, 100);
  clock.move(30);
  deadlines.start(waits[1]!, 100);
  deadlines.start(waits[2]!, 50);
  clock.move(1_000);
  expect(expired).toEqual(["c@80", "a@100", "b@130"]);
  expect(clock.timers()).toBe(0);
});

test("a wait that is stopped or begun anew does not expire at its old time", () => {
  const clock = standing();
  const deadlines = new Deadlines(clock);
  const expired: number[] = [];
  const stopped = new Noted(() => expired.push(-1));
  const renewed = new Noted(() => expired.push(clock.monotonic()));
  deadlines.start(stopped, 100);
  deadlines.start(renewed, 100);
  clock.move(60);
  deadlines.stop(stopped);
  deadlines.stop(stopped);
  deadlines.start(renewed, 100);
  clock.move(99);
  expect(expired).toEqual([]);
  clock.move(1);
  expect(expired).toEqual([160]);
});

test("a wait may begin another when it expires, and may move between lengths", () => {
  const clock = standing();
  const deadlines = new Deadlines(clock);
  const expired: number[] = [];
  const wait: Deadline = new Noted(() => {
    expired.push(clock.monotonic());
    if (expired.length < 3) deadlines.start(wait, expired.length === 1 ? 10 : 20);
  });
  deadlines.start(wait, 10);
  clock.move(200);
  expect(expired).toEqual([10, 20, 40]);
});

test("a wait that begins when another of its length expires does not put off those between them", () => {
  const clock = standing();
  const deadlines = new Deadlines(clock);
  const expired: string[] = [];
  const note = (name: string) => () => void expired.push(`${name}@${clock.monotonic()}`);
  const newest = new Noted(note("newest"));
  const first = new Noted(() => {
    note("first")();
    deadlines.start(newest, 100);
  });
  deadlines.start(first, 100);
  clock.move(30);
  deadlines.start(new Noted(note("second")), 100);
  clock.move(1_000);
  expect(expired).toEqual(["first@100", "second@130", "newest@200"]);
  expect(clock.timers()).toBe(0);
});

test("very many waits cost one timer", () => {
  const clock = standing();
  const deadlines = new Deadlines(clock);
  let expired = 0;
  const waits = Array.from({ length: 1_000 }, () => new Noted(() => (expired += 1)));
  for (const wait of waits) deadlines.start(wait, 100);
  expect(clock.timers()).toBe(1);
  for (const wait of waits.slice(1)) deadlines.stop(wait);
  clock.move(100);
  expect(expired).toBe(1);
  deadlines.start(waits[0]!, 100);
  deadlines.close();
  clock.move(1_000);
  expect(expired).toBe(1);
});
