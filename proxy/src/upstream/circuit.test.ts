import { CircuitPolicy } from "@tocsin/shared/contract";
import { describe, expect, test } from "vitest";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import { Circuit, verdictOf } from "./circuit.ts";
import { Circuits } from "./circuits.ts";
import type { UpstreamInstance } from "./instances.ts";

const instance = (name: string, more: Partial<UpstreamInstance> = {}): UpstreamInstance => ({
  key: `a.${name}.1`,
  service: "a",
  instance: name,
  url: "http://127.0.0.1:1",
  weight: 1,
  active: true,
  eligible: true,
  ...more,
});
const policyOf = (more: Record<string, unknown> = {}) =>
  CircuitPolicy.parse({ failures: 3, rest: "60s", successes: 2, trials: 1, ...more });
const byKey = (...list: UpstreamInstance[]) => new Map(list.map((each) => [each.key, each]));

function circuitWith(more: Record<string, unknown> = {}) {
  const clock = createVirtualClock();
  const circuit = new Circuit(instance("one"), policyOf(more), clock, () => {});
  return {
    clock,
    circuit,
    fail: (times: number) => {
      for (let time = 0; time < times; time += 1) circuit.failed(circuit.enter());
    },
  };
}

describe("one circuit", () => {
  test("opens after the failures in a row that the policy names, and not one earlier", () => {
    const { circuit, fail } = circuitWith();
    fail(2);
    expect(circuit.kind).toBe("closed");
    circuit.succeeded(circuit.enter());
    fail(2);
    expect(circuit.kind).toBe("closed");
    fail(1);
    expect(circuit.kind).toBe("open");
    expect(circuit.lets).toBe(false);
  });

  test("what says nothing about the instance neither breaks a row of failures nor makes one", () => {
    const { circuit, fail } = circuitWith();
    fail(2);
    for (let time = 0; time < 10; time += 1) circuit.withdrew(circuit.enter());
    expect(circuit.kind).toBe("closed");
    fail(1);
    expect(circuit.kind).toBe("open");
  });

  test("rests for exactly its time, then lets trials through", async () => {
    const { clock, circuit, fail } = circuitWith();
    fail(3);
    await clock.pass(59_999);
    expect(circuit.lets).toBe(false);
    expect(circuit.waitMs).toBe(1);
    await clock.pass(1);
    expect(circuit.lets).toBe(true);
    circuit.enter();
    expect(circuit.kind).toBe("half-open");
    expect(circuit.lets).toBe(false);
  });

  test("closes after the good trials in a row that the policy names", async () => {
    const { clock, circuit, fail } = circuitWith();
    fail(3);
    await clock.pass(60_000);
    circuit.succeeded(circuit.enter());
    expect(circuit.kind).toBe("half-open");
    circuit.succeeded(circuit.enter());
    expect(circuit.kind).toBe("closed");
  });

  test("one failed trial opens it again, and the rest begins anew", async () => {
    const { clock, circuit, fail } = circuitWith();
    fail(3);
    await clock.pass(60_000);
    circuit.succeeded(circuit.enter());
    fail(1);
    expect(circuit.kind).toBe("open");
    await clock.pass(59_999);
    expect(circuit.lets).toBe(false);
    await clock.pass(1);
    expect(circuit.lets).toBe(true);
  });

  test("a trial that says nothing gives its place back", async () => {
    const { clock, circuit, fail } = circuitWith();
    fail(3);
    await clock.pass(60_000);
    const trial = circuit.enter();
    expect(circuit.lets).toBe(false);
    circuit.withdrew(trial);
    expect(circuit.lets).toBe(true);
    expect(circuit.kind).toBe("half-open");
  });

  test("as many trials at the same time as the policy allows, one place for each that ends", async () => {
    const { clock, circuit, fail } = circuitWith({ trials: 3, successes: 10 });
    fail(3);
    await clock.pass(60_000);
    const trials = [circuit.enter(), circuit.enter(), circuit.enter()];
    expect(circuit.lets).toBe(false);
    circuit.succeeded(trials[0]!);
    expect(circuit.lets).toBe(true);
    circuit.enter();
    expect(circuit.lets).toBe(false);
  });

  test("requests from before it opened count neither for nor against the trials", async () => {
    const { clock, circuit, fail } = circuitWith({ successes: 1 });
    const [slow, slower] = [circuit.enter(), circuit.enter()];
    fail(3);
    circuit.succeeded(slow);
    expect(circuit.kind).toBe("open");
    await clock.pass(60_000);
    circuit.enter();
    circuit.failed(slower);
    expect(circuit.kind).toBe("half-open");
    expect(circuit.lets).toBe(false);
  });

  test("who is sent although it does not let anybody through says nothing", () => {
    const { circuit, fail } = circuitWith();
    fail(3);
    circuit.succeeded(circuit.enter());
    circuit.failed(circuit.enter());
    circuit.withdrew(circuit.enter());
    expect(circuit.kind).toBe("open");
  });

  test("answers that break off one after the other open it, although each began well", () => {
    const { circuit } = circuitWith();
    for (let time = 0; time < 3; time += 1) {
      expect(circuit.kind).toBe("closed");
      const era = circuit.enter();
      const before = circuit.succeeded(era);
      circuit.broke(era, before);
    }
    expect(circuit.kind).toBe("open");
  });

  test("a whole answer between broken ones keeps it closed", () => {
    const { circuit } = circuitWith();
    for (let time = 0; time < 20; time += 1) {
      const era = circuit.enter();
      const before = circuit.succeeded(era);
      if (time % 3 !== 2) circuit.broke(era, before);
    }
    expect(circuit.kind).toBe("closed");
  });

  test("after a wait of any length half-open, because the fleet found it well", () => {
    const { circuit, fail } = circuitWith();
    fail(3);
    circuit.returned();
    expect(circuit.kind).toBe("half-open");
    expect(circuit.lets).toBe(true);
  });
});

describe("what a status says", () => {
  test.each([
    [200, "for"],
    [204, "for"],
    [302, "for"],
    [400, "neither"],
    [401, "neither"],
    [404, "neither"],
    [408, "neither"],
    [429, "neither"],
    [500, "against"],
    [501, "neither"],
    [502, "against"],
    [503, "against"],
    [504, "against"],
    [505, "neither"],
    [507, "against"],
    [599, "against"],
  ] as const)("%i speaks %s", (status, verdict) => {
    expect(verdictOf(status)).toBe(verdict);
  });
});

describe("all circuits", () => {
  const open = (circuits: Circuits, each: UpstreamInstance) => {
    const circuit = circuits.of(each, policyOf());
    for (let time = 0; time < 3; time += 1) circuit.failed(circuit.enter());
  };

  test("nothing is asked of a service whose circuits are all closed", async () => {
    const clock = createVirtualClock();
    const circuits = new Circuits(clock);
    const [one, two] = [instance("one"), instance("two")];
    const other = instance("x", { key: "b.x.1", service: "b" });
    for (const each of [one, two, other]) circuits.of(each, policyOf());
    expect(circuits.letsOf("a")).toBeUndefined();
    open(circuits, one);
    expect(circuits.letsOf("b")).toBeUndefined();
    const lets = circuits.letsOf("a")!;
    expect([one, two].map(lets)).toEqual([false, true]);
    await clock.pass(60_000);
    const circuit = circuits.of(one, policyOf());
    for (let time = 0; time < 2; time += 1) circuit.succeeded(circuit.enter());
    expect(circuits.letsOf("a")).toBeUndefined();
  });

  test("changes are told in order, and those that are not closed are listed", async () => {
    const clock = createVirtualClock();
    const circuits = new Circuits(clock);
    const changes: string[] = [];
    circuits.onChange((each, state) => changes.push(`${each.instance} ${state}`));
    const one = instance("one");
    circuits.of(instance("two"), policyOf());
    open(circuits, one);
    expect(circuits.open()).toEqual([{ instance: one, state: "open", waitMs: 60_000 }]);
    await clock.pass(60_000);
    const circuit = circuits.of(one, policyOf());
    for (let time = 0; time < 2; time += 1) circuit.succeeded(circuit.enter());
    expect(changes).toEqual(["one open", "one half-open", "one closed"]);
    expect(circuits.open()).toEqual([]);
  });

  test("another life of an instance starts closed, and the old one is forgotten", () => {
    const circuits = new Circuits(createVirtualClock());
    const [first, second] = [instance("one"), instance("one", { key: "a.one.2" })];
    open(circuits, first);
    circuits.follow(byKey(second));
    expect(circuits.letsOf("a")).toBeUndefined();
    expect(circuits.stateOf(first.key)).toBeUndefined();
    expect(circuits.of(second, policyOf()).kind).toBe("closed");
  });

  test("an outcome that comes after its instance was forgotten changes nothing", () => {
    const circuits = new Circuits(createVirtualClock());
    const one = instance("one");
    const circuit = circuits.of(one, policyOf({ failures: 1 }));
    const era = circuit.enter();
    circuits.follow(byKey());
    circuit.failed(era);
    expect(circuits.letsOf("a")).toBeUndefined();
    expect(circuits.open()).toEqual([]);
  });

  test("an instance that was out by its verdict and comes back may be tried at once; one that was in rests", () => {
    const circuits = new Circuits(createVirtualClock());
    const [one, two] = [instance("one"), instance("two")];
    open(circuits, one);
    open(circuits, two);
    circuits.follow(byKey({ ...one, eligible: false }, two));
    expect(circuits.stateOf(one.key)).toBe("open");
    circuits.follow(byKey(one, two));
    expect(circuits.stateOf(one.key)).toBe("half-open");
    expect(circuits.stateOf(two.key)).toBe("open");
  });

  test("the time until the first may be tried is in whole seconds, at least one", async () => {
    const clock = createVirtualClock();
    const circuits = new Circuits(clock);
    const [one, two] = [instance("one"), instance("two")];
    expect(circuits.secondsUntil([one, two])).toBeUndefined();
    open(circuits, one);
    await clock.pass(20_000);
    open(circuits, two);
    expect(circuits.secondsUntil([one, two])).toBe(40);
    expect(circuits.secondsUntil([two])).toBe(60);
    expect(circuits.secondsUntil([{ ...one, eligible: false }, two])).toBe(60);
    await clock.pass(39_500);
    expect(circuits.secondsUntil([one, two])).toBe(1);
    circuits.of(one, policyOf()).returned();
    expect(circuits.secondsUntil([one, two])).toBe(1);
  });

  test("the policy of the last config counts, and without one there is no circuit", () => {
    const circuits = new Circuits(createVirtualClock());
    const one = instance("one");
    const circuit = circuits.of(one, policyOf());
    circuit.failed(circuit.enter());
    circuits.of(one, policyOf({ failures: 2 }));
    circuit.failed(circuit.enter());
    expect(circuit.kind).toBe("open");
    circuits.forget("a");
    expect(circuits.letsOf("a")).toBeUndefined();
  });
});
