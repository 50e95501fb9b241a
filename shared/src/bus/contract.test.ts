/**
 * What a bus is: the same sentences for every adapter.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, startNats, type NatsServer } from "@tocsin/test/harness";
import { silentLog } from "../log.ts";
import { systemClock } from "../time.ts";
import { BusUnavailable, type Bus, type BusState } from "./bus.ts";
import { createEmbeddedBus } from "./embedded.ts";
import { connectNats } from "./nats.ts";

interface Fixture extends AsyncDisposable {
  /** Another client of the same bus; in one process all are the same one. */
  client(): Promise<Bus>;
}

function describeBus(name: string, start: () => Promise<Fixture>) {
  describe(`the ${name} bus`, () => {
    let fixture: Fixture;
    let one: Bus;
    let two: Bus;
    let unique = 0;
    const subject = (rest = "") => `test.${++unique}${rest}`;

    beforeAll(async () => {
      fixture = await start();
      one = await fixture.client();
      two = await fixture.client();
    });
    afterAll(() => fixture[Symbol.asyncDispose]());

    const collect = async (bus: Bus, to: string, options?: { queue?: string }) => {
      const texts: string[] = [];
      const listening = await bus.subscribe(
        to,
        (message) => void texts.push(message.text()),
        options,
      );
      return { texts, [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose]() };
    };
    const settled = async () => {
      await one.flush();
      await two.flush();
    };

    test("what is published after subscribe resolved is heard, with subject, headers and bytes", async () => {
      const to = subject();
      const heard: unknown[] = [];
      await using _ = await two.subscribe(to, (message) =>
        heard.push([
          message.subject,
          message.text(),
          [...message.bytes()],
          message.header("Tocsin-Epoch"),
          message.header("Absent"),
        ]),
      );
      one.publish(to, "é", { "Tocsin-Epoch": "e.1" });
      one.publish(to, new Uint8Array([104, 105]));
      await eventually("two messages", () => heard.length === 2);
      expect(heard).toEqual([
        [to, "é", [0xc3, 0xa9], "e.1", undefined],
        [to, "hi", [104, 105], undefined, undefined],
      ]);
    });

    test("nothing is delivered inside the call that publishes", async () => {
      const to = subject();
      await using got = await collect(one, to);
      one.publish(to, "later");
      expect(got.texts).toEqual([]);
      await eventually("delivery", () => got.texts.length === 1);
    });

    test("messages of one publisher arrive in order", async () => {
      const to = subject();
      await using got = await collect(two, `${to}.*`);
      const sent = Array.from({ length: 500 }, (_, index) => String(index));
      sent.forEach((text, index) => one.publish(`${to}.${index % 3}`, text));
      await eventually("all messages", () => got.texts.length === sent.length);
      expect(got.texts).toEqual(sent);
    });

    test("* is one token, > is one or more", async () => {
      const base = subject();
      await using star = await collect(two, `${base}.*`);
      await using middle = await collect(two, `${base}.*.c`);
      await using rest = await collect(two, `${base}.>`);
      for (const tail of ["", ".a", ".a.b", ".a.c", ".a.c.d"]) one.publish(base + tail, tail);
      await eventually("the last", () => rest.texts.includes(".a.c.d"));
      expect(star.texts).toEqual([".a"]);
      expect(middle.texts).toEqual([".a.c"]);
      expect(rest.texts).toEqual([".a", ".a.b", ".a.c", ".a.c.d"]);
    });

    test("members of a queue group share, others hear everything", async () => {
      const to = subject();
      await using first = await collect(one, to, { queue: "group" });
      await using second = await collect(two, to, { queue: "group" });
      await using other = await collect(two, to, { queue: "other" });
      await using plain = await collect(two, to);
      for (let index = 0; index < 200; index++) one.publish(to, String(index));
      await eventually("all", () => plain.texts.length === 200 && other.texts.length === 200);
      await eventually("shared", () => first.texts.length + second.texts.length === 200);
      expect(first.texts.length).toBeGreaterThan(0);
      expect(second.texts.length).toBeGreaterThan(0);
    });

    test("after a subscription is disposed nothing is heard, and disposing again does nothing", async () => {
      const to = subject();
      const got = await collect(two, to);
      await using witness = await collect(two, to);
      await got[Symbol.asyncDispose]();
      await got[Symbol.asyncDispose]();
      await settled();
      one.publish(to, "x");
      await eventually("the witness", () => witness.texts.length === 1);
      expect(got.texts).toEqual([]);
    });

    test("a request gets its answer with headers", async () => {
      const to = subject();
      await using _ = await two.subscribe(to, (message) =>
        message.respond(`re: ${message.text()} ${message.header("X-A")}`, { "X-B": "b" }),
      );
      const answer = await one.request(to, "hello", { timeoutMs: 5_000, headers: { "X-A": "a" } });
      expect(answer.text()).toBe("re: hello a");
      expect(answer.header("X-B")).toBe("b");
    });

    test("respond does nothing when nobody asked", async () => {
      const to = subject();
      await using _ = await two.subscribe(to, (message) => message.respond("x"));
      await using got = await collect(two, to);
      one.publish(to, "plain");
      await eventually("delivery", () => got.texts.length === 1);
    });

    test("a request that nobody listens to fails at once", async () => {
      const asked = performance.now();
      await expect(one.request(subject(), "", { timeoutMs: 10_000 })).rejects.toMatchObject({
        name: "BusUnavailable",
        kind: "no-responders",
      });
      expect(performance.now() - asked).toBeLessThan(5_000);
    });

    test("a request that nobody answers times out", async () => {
      const to = subject();
      await using _ = await two.subscribe(to, () => {});
      await expect(one.request(to, "", { timeoutMs: 50 })).rejects.toMatchObject({
        kind: "timeout",
      });
    });

    test("a request ends with the signal's reason", async () => {
      const to = subject();
      await using _ = await two.subscribe(to, () => {});
      const giveUp = new AbortController();
      const asking = one.request(to, "", { timeoutMs: 10_000, signal: giveUp.signal });
      giveUp.abort(new Error("enough"));
      await expect(asking).rejects.toThrow("enough");
      await expect(
        one.request(to, "", { timeoutMs: 10_000, signal: giveUp.signal }),
      ).rejects.toThrow("enough");
    });

    test("many answers arrive in order until the asker has enough; the timeout is silence, not the whole", async () => {
      const to = subject();
      const size = 200_000;
      await using _ = await two.subscribe(to, (message) => {
        let sent = 0;
        const more = () => {
          message.respond(String(sent).padEnd(size, "."));
          if (++sent < 8) setTimeout(more, 40);
        };
        more();
      });
      const answers: string[] = [];
      await one.requestMany(
        to,
        "",
        (answer) => (answers.push(answer.text().slice(0, 1)), answers.length < 6 ? "more" : "done"),
        { timeoutMs: 200 },
      );
      expect(answers).toEqual(["0", "1", "2", "3", "4", "5"]);
      await expect(one.requestMany(to, "", () => "more", { timeoutMs: 200 })).rejects.toMatchObject(
        {
          kind: "timeout",
        },
      );
    });

    test("an exception in the handler of an answer ends the request, not the bus", async () => {
      const to = subject();
      await using _ = await two.subscribe(to, (message) => message.respond("x"));
      const thrown = one.requestMany(
        to,
        "",
        () => {
          throw new Error("bad answer");
        },
        { timeoutMs: 1_000 },
      );
      await expect(thrown).rejects.toThrow("bad answer");
      expect((await one.request(to, "", { timeoutMs: 1_000 })).text()).toBe("x");
    });

    test("a subscriber that throws hurts nobody, itself neither", async () => {
      const to = subject();
      const heard: string[] = [];
      await using _ = await two.subscribe(to, (message) => {
        heard.push(message.text());
        throw new Error("defect");
      });
      await using other = await collect(two, to);
      one.publish(to, "1");
      one.publish(to, "2");
      await eventually("both", () => heard.length === 2 && other.texts.length === 2);
    });

    test.each(["a b", "a\r\nPUB x 1", ""])("%j is no subject", async (bad) => {
      expect(() => one.publish(bad, "x")).toThrow();
      await expect(one.subscribe(bad, () => {})).rejects.toThrow();
      await expect(one.request(bad, "", { timeoutMs: 100 })).rejects.toThrow();
    });

    test("what was published before a flush comes before what another one publishes after it", async () => {
      const to = subject();
      await using got = await collect(await fixture.client(), to);
      for (let index = 0; index < 20; index++) one.publish(to, `${index} ${"x".repeat(500_000)}`);
      await one.flush();
      two.publish(to, "last");
      await eventually("all", () => got.texts.length === 21);
      expect(got.texts.map((text) => text.split(" ")[0])).toEqual([
        ...Array.from({ length: 20 }, (_, index) => String(index)),
        "last",
      ]);
    });

    test("reconnect tells that messages may have been missed; subscriptions go on", async () => {
      const bus = await fixture.client();
      const to = subject();
      await using got = await collect(bus, to);
      const states: BusState[] = [];
      const stop = bus.onState((state) => states.push(state));
      await bus.reconnect();
      await eventually("connected again", () => states.at(-1) === "connected");
      expect(states).toEqual(["disconnected", "connected"]);
      expect(bus.state).toBe("connected");
      stop();
      await bus.flush();
      one.publish(to, "still here");
      await eventually("delivery", () => got.texts.length === 1);
      expect(got.texts).toEqual(["still here"]);
    });

    test("a bus that is disposed is closed: publishing does nothing, asking fails, disposing again is harmless", async () => {
      await using own = await start();
      const bus = await own.client();
      const states: BusState[] = [];
      bus.onState((state) => states.push(state));
      const to = subject();
      await using _ = await bus.subscribe(to, () => {});
      const asking = bus.request(to, "", { timeoutMs: 10_000 });
      const refused = expect(asking).rejects.toBeInstanceOf(BusUnavailable);
      await bus[Symbol.asyncDispose]();
      await bus[Symbol.asyncDispose]();
      await refused;
      expect(states).toEqual(["closed"]);
      expect(bus.state).toBe("closed");
      bus.publish(to, "x");
      await expect(bus.request(to, "", { timeoutMs: 100 })).rejects.toBeInstanceOf(BusUnavailable);
      await expect(bus.subscribe(to, () => {})).rejects.toBeInstanceOf(BusUnavailable);
    });

    test("what was published before dispose still arrives", async () => {
      const to = subject();
      const leaving = await fixture.client();
      await using got = await collect(two, to);
      if (leaving === two) return; // One bus for all: its end is the end of the listener too.
      leaving.publish(to, "goodbye");
      await leaving[Symbol.asyncDispose]();
      await eventually("delivery", () => got.texts.length === 1);
    });
  });
}

describeBus("embedded", async () => {
  const bus = createEmbeddedBus({ log: silentLog });
  return { client: async () => bus, [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose]() };
});

describeBus("nats", async () => {
  const server: NatsServer = await startNats();
  const clients: Bus[] = [];
  return {
    async client() {
      const bus = await connectNats({
        servers: [server.url],
        node: `client-${clients.length}`,
        role: "proxy",
        clock: systemClock,
        log: silentLog,
      });
      clients.push(bus);
      return bus;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((bus) => bus[Symbol.asyncDispose]()));
      await server[Symbol.asyncDispose]();
    },
  };
});
