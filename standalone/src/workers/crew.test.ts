/** When a worker is let in, and what becomes of one that dies. The processes are played: what they say is what is tried here. */
import { expect, test } from "vitest";
import { silentLog, systemClock } from "@tocsin/shared";
import { subjects } from "@tocsin/shared/bus";
import { createEmbeddedBus } from "@tocsin/shared/embedded";
import { Crew } from "./crew.ts";
import type { WorkerProcess } from "./fork.ts";
import { Voice } from "./voice.ts";
import type { Standings, ToPrimary, ToWorker } from "./words.ts";

const at = (applied: number, epoch = "e"): Standings => ({
  catalogue: { epoch: "c", applied: 1 },
  health: { epoch: "h", applied: 1 },
  revocations: { epoch, applied },
  invalidations: { epoch: "i", applied: 0 },
});

class Played {
  readonly told: string[] = [];
  /** Does not end when it is told to drain. */
  lingers = false;
  readonly addresses: number[] = [];
  readonly #listeners = new Set<(word: ToPrimary) => void>();
  readonly #gone = Promise.withResolvers<number | string>();
  readonly process: WorkerProcess;
  constructor(id: number) {
    this.process = {
      id,
      pid: id,
      line: {
        say: (word: ToWorker) => {
          if (word.kind !== "ping" && word.kind !== "bus") this.told.push(word.kind);
          if (word.kind === "listen") this.addresses.push(word.address.port);
          if (word.kind === "drain" && !this.lingers) this.end(0);
          return true;
        },
        onWord: (listener) => {
          this.#listeners.add(listener);
          return () => void this.#listeners.delete(listener);
        },
      },
      gone: this.#gone.promise,
      dismiss: () => this.end(0),
      kill: () => this.end("SIGKILL"),
    };
  }
  says(word: ToPrimary): void {
    for (const listener of this.#listeners) listener(word);
  }
  stands(standings: Standings, hasSnapshot = true): void {
    this.says({ kind: "pong", state: { hasSnapshot, standings, active: 0 } });
  }
  end(how: number | string): void {
    this.#gone.resolve(how);
  }
}

async function stage(size: number, vouched: { now: Standings }) {
  const stack = new AsyncDisposableStack();
  const bus = stack.use(createEmbeddedBus({ log: silentLog }));
  const voice = stack.use(new Voice({ node: "p", bus, clock: systemClock, log: silentLog }));
  const played: Played[] = [];
  const crew = new Crew({
    size,
    fork: () => {
      const worker = new Played(played.length + 1);
      played.push(worker);
      return worker.process;
    },
    voice,
    clock: systemClock,
    log: silentLog,
    address: { host: "127.0.0.1", port: 0 },
    vouchedFor: () => vouched.now,
    onGone: () => {},
    drainTimeoutMs: 1_000,
  });
  stack.defer(() => crew.drain(0));
  const acked: string[] = [];
  stack.use(await bus.subscribe(subjects.acks, ({ subject }) => void acked.push(subject)));
  return { crew, played, voice, bus, acked, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const soon = async (check: () => void) => {
  const deadline = performance.now() + 3_000;
  for (;;) {
    try {
      return check();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

test("the first listens at once and lets nobody in; each is let in when it has what the node has vouched for", async () => {
  await using given = await stage(2, { now: at(5) });
  const { crew, played } = given;
  const [one, two] = played;
  expect([one!.told, two!.told]).toEqual([["listen"], []]);
  one!.says({ kind: "listening", address: { host: "127.0.0.1", port: 80 } });
  expect(await crew.listening).toEqual({ host: "127.0.0.1", port: 80 });
  one!.stands(at(5), false);
  one!.stands(at(4));
  one!.stands(at(9, "another"));
  expect(one!.told).toEqual(["listen"]);
  expect(crew.notServing()).toBe("no worker serves yet");
  one!.stands(at(5));
  expect(one!.told).toEqual(["listen", "admit"]);
  expect(crew.notServing()).toBeUndefined();
  two!.stands(at(5));
  expect(two!.told).toEqual(["admit", "listen"]);
});

test("one that comes while orders come counts from then on, and is let in though it is always a little behind", async () => {
  const vouched = { now: at(5) };
  await using given = await stage(1, vouched);
  const { played, voice, bus, acked } = given;
  const [one] = played;
  const ack = { v: 1, journal: "revocations", epoch: "e", applied: 6 };
  one!.stands(at(4));
  vouched.now = at(6);
  voice.keeperBus().publish(subjects.ack("op", "p"), JSON.stringify(ack));
  await bus.flush();
  expect(acked).toEqual([]);
  one!.stands(at(5));
  expect(one!.told).toContain("admit");
  expect(acked).toEqual([]);
  one!.stands(at(6));
  await bus.flush();
  expect(acked).toEqual([subjects.ack("op", "p")]);
});

test("one that dies is replaced at once, those that die again and again after a rest", async () => {
  await using given = await stage(1, { now: at(5) });
  const { crew, played } = given;
  played[0]!.says({ kind: "listening", address: { host: "127.0.0.1", port: 80 } });
  played[0]!.end("SIGKILL");
  await soon(() => expect(played).toHaveLength(2));
  // Nobody is left who has the port that port 0 became: it is asked for by its number.
  expect(played[1]!.addresses).toEqual([80]);
  const beganAt = performance.now();
  played[1]!.end(1);
  await soon(() => expect(played).toHaveLength(3));
  played[2]!.end(1);
  await soon(() => expect(played).toHaveLength(4));
  expect(performance.now() - beganAt).toBeGreaterThanOrEqual(299);
  expect(crew.members).toHaveLength(1);
});

test("a node whose workers end as soon as they begin says so", async () => {
  await using given = await stage(1, { now: at(5) });
  const { crew, played } = given;
  const failed = expect(crew.listening).rejects.toThrow(/end as soon as they begin \(1\)/);
  played[0]!.end(1);
  await soon(() => expect(played).toHaveLength(2));
  played[1]!.end(1);
  await failed;
});

test("a reload goes one by one, and stops when a new worker does not come up", async () => {
  await using given = await stage(2, { now: at(5) });
  const { crew, played } = given;
  const serve = (worker: Played) => {
    worker.stands(at(5));
    worker.says({ kind: "listening", address: { host: "127.0.0.1", port: 80 } });
  };
  played.forEach(serve);
  const reloading = crew.reload();
  expect(crew.reload()).toBe(reloading);
  expect(played).toHaveLength(3);
  expect(played[0]!.told).not.toContain("drain");
  serve(played[2]!);
  await soon(() => expect(played).toHaveLength(4));
  expect(played[0]!.told).toContain("drain");
  expect(played[1]!.told).not.toContain("drain");
  played[3]!.end(1);
  await reloading;
  expect(played[1]!.told).not.toContain("drain");
  expect(crew.members.map(({ id, phase }) => [id, phase])).toEqual([
    [2, "serving"],
    [3, "serving"],
  ]);
});

test("a new worker that dies while the next one is replaced is made up for", async () => {
  await using given = await stage(2, { now: at(5) });
  const { crew, played } = given;
  const serve = (worker: Played) => {
    worker.stands(at(5));
    worker.says({ kind: "listening", address: { host: "127.0.0.1", port: 80 } });
  };
  played.forEach(serve);
  const reloading = crew.reload();
  serve(played[2]!);
  await soon(() => expect(played).toHaveLength(4));
  // The second old one, and the one that comes in its place, are as many as there should be.
  played[2]!.end(1);
  await soon(() => expect(crew.members.map(({ id }) => id)).toEqual([2, 4]));
  serve(played[3]!);
  await reloading;
  await soon(() => expect(crew.members.map(({ id }) => id)).toEqual([4, 5]));
});

test("an old worker that dies before its turn is replaced once", async () => {
  await using given = await stage(2, { now: at(5) });
  const { crew, played } = given;
  const serve = (worker: Played) => {
    worker.stands(at(5));
    worker.says({ kind: "listening", address: { host: "127.0.0.1", port: 80 } });
  };
  played.forEach(serve);
  played[0]!.lingers = true;
  const reloading = crew.reload();
  serve(played[2]!);
  await soon(() => expect(played[0]!.told).toContain("drain"));
  played[1]!.end(1);
  await soon(() => expect(played).toHaveLength(4));
  serve(played[3]!);
  played[0]!.end(0);
  const over = reloading.then(() => "over");
  await soon(() => expect(crew.members).not.toContain(crew.members.find(({ id }) => id === 1)));
  for (const late of played.slice(4)) serve(late);
  expect(await over).toBe("over");
  expect(crew.members.map(({ id }) => id)).toEqual([3, 4]);
});
