/** What happens to one of two control planes, with clients and writers at work. */
import { describe, expect, test } from "vitest";
import { ask } from "../harness/client.ts";
import { startGateway, type Gateway } from "../harness/gateway.ts";
import { startOrigin } from "../harness/origin.ts";
import { soon } from "../harness/soon.ts";
import { pause, startFleet } from "./fleet.ts";

interface ControlPlane {
  readonly node: string;
  readonly live: boolean;
  readonly leading: boolean;
  readonly term: number;
}

async function controlPlanes(gateway: Gateway, node: number): Promise<ControlPlane[]> {
  const answer = await gateway.admin("GET", "/v1/control-planes", undefined, node);
  return (answer.json() as { controlPlanes: ControlPlane[] }).controlPlanes;
}

/** The node that leads, as a node hears it, and the other one. */
async function leaderOf(gateway: Gateway, asked: number) {
  return soon(async () => {
    const leading = (await controlPlanes(gateway, asked)).filter((each) => each.leading);
    expect(leading).toHaveLength(1);
    const at = gateway.names.controlPlanes.indexOf(leading[0]!.node);
    return { ...leading[0]!, at, other: 1 - at };
  }, 10_000);
}

/** Every state of a replica that was seen on any proxy, until it is told to stop. */
function watchStates(gateway: Gateway) {
  const seen = new Set<string>();
  const look = async (probe: string) => {
    const { journals } = (await ask(probe, "/status")).json() as unknown as {
      journals: Record<string, { state: string }>;
    };
    for (const [journal, { state }] of Object.entries(journals)) seen.add(`${journal} ${state}`);
  };
  const timer = setInterval(() => {
    for (const probe of gateway.probes) void look(probe);
  }, 100);
  return {
    seen,
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

describe.concurrent("of two control planes", () => {
  test("the leader is killed: the other one takes orders at once and leads soon, and no proxy suspects anything", async () => {
    await using fleet = await startFleet({ controlPlanes: 2 });
    const { gateway } = fleet;
    const before = await leaderOf(gateway, 0);
    await using watch = await fleet.watch();
    using states = watchStates(gateway);
    watch.writer.every(300, () => watch.writer.revoke(1_000, before.other));
    watch.writer.every(1_000, () => watch.writer.edit(1_000, before.other));
    await pause(1_000);
    await gateway.node(before.node).end("SIGKILL");
    const after = await soon(async () => {
      const found = await leaderOf(gateway, before.other);
      expect(found.node).not.toBe(before.node);
      return found;
    }, 6_000);
    expect(after.term).toBe(before.term + 1);
    await pause(3_000);
    expect(watch.writer.ledger.of("refused")).toEqual([]);
    await gateway.restart(before.node);
    await watch.recovered({ fault: "leader killed and restarted" });
    expect([...states.seen].filter((state) => /suspect|stale/.test(state))).toEqual([]);
    // Who comes back does not take over from one that lives.
    expect(await leaderOf(gateway, before.at)).toMatchObject({
      node: after.node,
      term: after.term,
    });
  }, 90_000);

  test("the leader is stopped for 30 s while instances come, renew and go: none is lost, and what it does late has no effect", async () => {
    await using fleet = await startFleet({ controlPlanes: 2 });
    await using origin = await startOrigin();
    const { gateway } = fleet;
    const before = await leaderOf(gateway, 0);
    const { other } = before;
    const path = (instance: string) => `/v1/services/orders/instances/${instance}`;
    const call = async (method: string, way: string, body: object) => {
      const answer = await gateway.admin(method, way, body, other);
      expect(answer.status, `${method} ${way}: ${answer.text}`).toBe(200);
    };
    const instances = async (node: number) => {
      const answer = await gateway.admin("GET", "/v1/services/orders", undefined, node);
      const { instances: found } = answer.json() as { instances: { instance: string }[] };
      return found.map(({ instance }) => instance).toSorted();
    };
    const registration = { url: origin.url, boot: "b", health: { path: "/health" } };
    for (const name of ["stays", "leaves"]) await call("PUT", path(name), registration);
    await using watch = await fleet.watch();
    watch.writer.every(500, () => watch.writer.revoke(1_000, other));
    let renewing = ["stays"];
    const failures: string[] = [];
    const renew = async (name: string) => {
      const way = `${path(name)}/renew`;
      const { status, text } = await gateway.admin("POST", way, { boot: "b" }, other);
      if (status !== 200) failures.push(`${name}: ${status} ${text}`);
    };
    const timer = setInterval(() => {
      for (const name of renewing) void renew(name);
    }, 3_000);
    try {
      gateway.node(before.node).freeze();
      await pause(10_000);
      await call("PUT", path("comes"), registration);
      renewing = ["stays", "comes"];
      await call("DELETE", path("leaves"), { boot: "b" });
      const leading = await leaderOf(gateway, other);
      expect(leading).toMatchObject({ at: other, term: before.term + 1 });
      await pause(20_000);
      gateway.node(before.node).thaw();
      await watch.recovered({ fault: "leader stopped for 30 s" });
      // Longer than a lease, and what the woken one might have begun.
      await pause(12_000);
    } finally {
      clearInterval(timer);
    }
    expect(failures).toEqual([]);
    for (const node of [0, 1]) {
      expect(await instances(node)).toEqual(["comes", "stays"]);
      expect(await leaderOf(gateway, node)).toMatchObject({ at: other, term: before.term + 1 });
    }
  }, 120_000);

  test("200 edits through each of both at the same time are 400 effects", async () => {
    // Without secrets: those are not shown, so an edit of what is shown would not know them.
    await using gateway = await startGateway("cluster", {
      controlPlanes: 2,
      config: "version: 1\n",
    });
    interface Shown {
      readonly revision: number;
      readonly config: { readonly services?: Record<string, unknown> } | undefined;
    }
    const edits = 200;
    let repeated = 0;
    const edit = async (node: number, name: string) => {
      for (;;) {
        const { revision, config } = (
          await gateway.admin("GET", "/v1/config", undefined, node)
        ).json() as unknown as Shown;
        const edited = { ...config, services: { ...config?.services, [name]: {} } };
        const answer = await gateway.put("/v1/config?wait=0", edited, revision, node);
        if (answer.status === 202 || answer.status === 200) return;
        expect([409, 412]).toContain(answer.status);
        repeated++;
      }
    };
    await Promise.all(
      [0, 1].map(async (node) => {
        for (let index = 0; index < edits; index++) await edit(node, `edit-${node}-${index}`);
      }),
    );
    await soon(async () => {
      for (const node of [0, 1]) {
        const { config, revision } = (
          await gateway.admin("GET", "/v1/config", undefined, node)
        ).json() as unknown as Shown;
        const names = Object.keys(config?.services ?? {}).filter((name) =>
          name.startsWith("edit-"),
        );
        expect(names).toHaveLength(2 * edits);
        expect(revision).toBe(1 + 2 * edits);
      }
    }, 10_000);
    // They really met.
    expect(repeated).toBeGreaterThan(0);
  }, 120_000);
});
