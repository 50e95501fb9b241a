/** The bus of a worker against a real one in this process; the line between them hands words on as a channel does. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { silentLog, systemClock } from "@tocsin/shared";
import type { BusState } from "@tocsin/shared/bus";
import { createEmbeddedBus } from "@tocsin/shared/embedded";
import { hostBus } from "./bus-host.ts";
import { IpcBus } from "./ipc-bus.ts";
import type { Line } from "./line.ts";
import type { ToPrimary, ToWorker } from "./words.ts";

/** Two ends; words are copied and arrive in order, later. */
function pair() {
  const worker = new Set<(word: ToWorker) => void>();
  const primary = new Set<(word: ToPrimary) => void>();
  const state = { open: true };
  const end = <Out, In>(
    others: Set<(word: Out) => void>,
    own: Set<(word: In) => void>,
  ): Line<Out, In> => ({
    say(word) {
      if (!state.open) return false;
      const copy = structuredClone(word);
      setImmediate(() => {
        for (const listener of others) listener(copy);
      });
      return true;
    },
    onWord(listener) {
      own.add(listener);
      return () => void own.delete(listener);
    },
  });
  return {
    atPrimary: end<ToWorker, ToPrimary>(worker, primary),
    atWorker: end<ToPrimary, ToWorker>(primary, worker),
    state,
  };
}

async function stage() {
  const stack = new AsyncDisposableStack();
  const real = stack.use(createEmbeddedBus({ log: silentLog }));
  const { atPrimary, atWorker, state } = pair();
  const bus = stack.use(new IpcBus(atWorker, systemClock));
  stack.use(hostBus(real, atPrimary, silentLog));
  while (bus.state !== "connected") await sleep(1);
  return { real, bus, line: state, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const heard = async (check: () => boolean) => {
  const deadline = performance.now() + 2_000;
  while (!check()) {
    if (performance.now() > deadline) throw new Error("never heard");
    await sleep(1);
  }
};

test("what is published after subscribe resolved is heard, with subject, headers and bytes, both ways", async () => {
  await using given = await stage();
  const { real, bus } = given;
  const words: unknown[] = [];
  const note = (at: string) => (message: Parameters<Parameters<typeof bus.subscribe>[1]>[0]) =>
    words.push([
      at,
      message.subject,
      message.text(),
      [...message.bytes()].length,
      message.header("A"),
    ]);
  await using _here = await bus.subscribe("to.worker.*", note("worker"));
  await using _there = await real.subscribe("to.others", note("others"));
  real.publish("to.worker.1", "é", { A: "a" });
  bus.publish("to.others", new Uint8Array([104, 105]), { A: "b" });
  await heard(() => words.length === 2);
  expect(words).toContainEqual(["worker", "to.worker.1", "é", 2, "a"]);
  expect(words).toContainEqual(["others", "to.others", "hi", 2, "b"]);
});

test("a subscription that is disposed hears nothing more", async () => {
  await using given = await stage();
  const { real, bus } = given;
  let count = 0;
  const subscription = await bus.subscribe("a", () => (count += 1));
  real.publish("a", "1");
  await heard(() => count === 1);
  await subscription[Symbol.asyncDispose]();
  await subscription[Symbol.asyncDispose]();
  await bus.flush();
  real.publish("a", "2");
  await bus.flush();
  await bus.flush();
  expect(count).toBe(1);
});

test("answers come in order until they are enough, and a worker can answer", async () => {
  await using given = await stage();
  const { real, bus } = given;
  await using _ = await real.subscribe("many", (message) => {
    for (let count = 0; count < 100; count += 1) message.respond(`${message.text()} ${count}`);
  });
  const answers: string[] = [];
  await bus.requestMany(
    "many",
    "q",
    (message) => {
      answers.push(message.text());
      return answers.length < 50 ? "more" : "done";
    },
    { timeoutMs: 1_000 },
  );
  expect(answers).toEqual(Array.from({ length: 50 }, (_, count) => `q ${count}`));
  await using _one = await bus.subscribe("one", (message) =>
    message.respond(`re ${message.text()}`, { B: "b" }),
  );
  const answer = await real.request("one", "q", { timeoutMs: 1_000 });
  expect([answer.text(), answer.header("B")]).toEqual(["re q", "b"]);
});

test("nobody there, nobody answering, nobody waiting: each is told", async () => {
  await using given = await stage();
  const { real, bus } = given;
  await expect(bus.request("nobody", "", { timeoutMs: 1_000 })).rejects.toMatchObject({
    kind: "no-responders",
  });
  await using _ = await real.subscribe("mute", () => {});
  await expect(bus.request("mute", "", { timeoutMs: 20 })).rejects.toMatchObject({
    kind: "timeout",
  });
  const stop = new AbortController();
  const asked = bus.request("mute", "", { timeoutMs: 5_000, signal: stop.signal });
  stop.abort(new Error("no longer"));
  await expect(asked).rejects.toThrow("no longer");
});

test("the state of the bus is the worker's, and a closed one says so", async () => {
  await using given = await stage();
  const { real, bus } = given;
  const states: BusState[] = [];
  bus.onState((state) => states.push(state));
  await real.reconnect();
  await heard(() => states.length === 2);
  expect(states).toEqual(["disconnected", "connected"]);
  await using _ = await real.subscribe("mute", () => {});
  const asked = bus.request("mute", "", { timeoutMs: 5_000 });
  await bus[Symbol.asyncDispose]();
  await expect(asked).rejects.toMatchObject({ kind: "disconnected" });
  expect(bus.state).toBe("closed");
  await expect(bus.flush()).rejects.toMatchObject({ kind: "timeout" });
});

test("a line without room fails what waits for an answer, and drops what does not", async () => {
  await using given = await stage();
  const { bus, line } = given;
  line.open = false;
  bus.publish("a", "dropped");
  await expect(bus.subscribe("a", () => {})).rejects.toMatchObject({ kind: "timeout" });
  await expect(bus.request("a", "", { timeoutMs: 10 })).rejects.toMatchObject({ kind: "timeout" });
  line.open = true;
});
