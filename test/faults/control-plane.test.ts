/** The control plane dies, again and again, in the middle of what it writes; and it is not there at all. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, type Answer } from "../harness/client.ts";
import { convergence } from "../harness/convergence.ts";
import { modes, startGateway, type Gateway } from "../harness/gateway.ts";
import { startOrigin, type Origin } from "../harness/origin.ts";
import { soon } from "../harness/soon.ts";
import { issuer, token } from "../harness/tokens.ts";
import {
  configFor,
  convergesWithinMs,
  note,
  onStrict,
  pause,
  startFleet,
  strictStalenessMs,
} from "./fleet.ts";

/** Of each of the two ways to run it. */
const kills = 100;
const singlesPerKill = 6;
const itemsPerBulk = 6;

/** Something that was ordered, and everything of it that has to be in force, or nothing. */
interface Given {
  readonly what: string;
  /** Tokens that are refused once it is in force. */
  readonly jtis: readonly string[];
  /** Paths that are served once it is in force. */
  readonly paths: readonly string[];
  readonly status: number;
}

// One after the other: starting a process two hundred times is work enough for one core.
describe.each(modes)("a control plane that is killed in the middle of writing, %s", (mode) => {
  let origin: Origin;
  let gateway: Gateway;
  let good: string;
  beforeAll(async () => {
    origin = await startOrigin();
    gateway = await startGateway(mode, {
      config: JSON.stringify(configFor(origin.url)),
      proxies: 1,
    });
    good = await token({ lifetimeSeconds: 7_200 });
    await soon(async () => {
      expect((await gateway.ask("/api/users/1", { token: good })).status).toBe(200);
    }, 15_000);
  }, 60_000);
  afterAll(async () => {
    await gateway?.[Symbol.asyncDispose]();
    await origin?.[Symbol.asyncDispose]();
  });

  /** Of the tokens and paths of an order, how each is answered: true where it is in force. */
  async function inForce({ jtis, paths }: Pick<Given, "jtis" | "paths">): Promise<boolean[]> {
    const revoked = jtis.map(async (jti) => {
      const text = await token({ subject: "mallory", jti, lifetimeSeconds: 7_200 });
      return (await gateway.ask("/api/users/1", { token: text })).status === 401;
    });
    const served = paths.map(
      async (path) => (await gateway.ask(path, { token: good })).status === 200,
    );
    return Promise.all([...revoked, ...served]);
  }

  /** One by one, many at once, and a config: all on their way when it dies. */
  function give(): Promise<Given>[] {
    const send = async (
      what: string,
      content: Pick<Given, "jtis" | "paths">,
      sent: Promise<Answer>,
    ): Promise<Given> => {
      const status = await sent.then(
        (answer) => answer.status,
        () => 0,
      );
      return { what, ...content, status };
    };
    const revocation = (jti: string) => ({ kind: "token", issuer, jti });
    const singles = Array.from({ length: singlesPerKill }, () => {
      const jti = randomUUID();
      return send(
        "revocation",
        { jtis: [jti], paths: [] },
        gateway.admin("POST", "/v1/revocations?wait=0", revocation(jti)),
      );
    });
    const many = Array.from({ length: itemsPerBulk }, () => randomUUID());
    const bulk = send(
      "bulk",
      { jtis: many, paths: [] },
      gateway.admin("POST", "/v1/revocations?wait=0", { revocations: many.map(revocation) }),
    );
    const id = randomUUID();
    const config = configFor(origin.url);
    const added = ["one", "two"].map((name) => ({
      id: `${name}-${id}`,
      match: { path: `/api/${name}-${id}/*` },
      service: "users",
      auth: "required",
    }));
    const edit = send(
      "edit",
      { jtis: [], paths: added.map(({ id: name }) => `/api/${name}/1`) },
      gateway.admin("PUT", "/v1/config?wait=0", {
        ...config,
        routes: [...config.routes, ...added],
      }),
    );
    return [...singles, bulk, edit];
  }

  test(`${kills} times: what was answered 2xx is in force after the restart, the rest is in force whole or not at all`, async () => {
    const acknowledged: Given[] = [];
    const counts = { acknowledged: 0, refused: 0, inForceAllTheSame: 0 };
    const problems: string[] = [];
    /** How long a batch takes here at present: it dies somewhere within that. */
    let batchMs = 0;
    for (let kill = -1; kill < kills; kill++) {
      const began = performance.now();
      const orders = give();
      if (kill === -1) {
        // Once in peace, for the measure.
        await Promise.all(orders);
        batchMs = performance.now() - began;
        continue;
      }
      await pause(Math.random() * batchMs);
      await gateway.restartControlPlane("SIGKILL");
      const given = await Promise.all(orders);
      // Too late, and everything is answered; too early, and nothing is.
      const answered = given.filter(({ status }) => status === 202).length / given.length;
      if (answered > 0.8) batchMs *= 0.8;
      if (answered < 0.2) batchMs = Math.max(1, batchMs) * 1.25;
      await soon(async () => {
        expect((await gateway.ask("/api/users/1", { token: good })).status).toBe(200);
      }, 15_000);
      for (const order of given) {
        const isAcknowledged = order.status === 202;
        // What is durable reaches a proxy that heard nothing of it soon: the bound of any other repair.
        const is = await soon(async () => {
          const now = await inForce(order);
          if (isAcknowledged) expect(now).not.toContain(false);
          return now;
        }, convergesWithinMs).catch(() => inForce(order));
        counts[isAcknowledged ? "acknowledged" : "refused"]++;
        if (isAcknowledged && is.includes(false))
          problems.push(`lost: ${order.what}, kill ${kill}`);
        if (new Set(is).size > 1) problems.push(`half of it: ${order.what}, ${order.status}`);
        if (isAcknowledged && order.what !== "edit") acknowledged.push(order);
        if (!isAcknowledged && !is.includes(false)) counts.inForceAllTheSame++;
      }
    }
    note(`control plane killed ${kills} times, ${mode}`, { ...counts, batchMs });
    expect(problems).toEqual([]);
    // Else nothing was tried.
    expect(counts.acknowledged).toBeGreaterThan(kills);
    expect(counts.refused).toBeGreaterThan(kills);

    // Once more with nothing but what is stored: every process starts again, proxies without anything of their own.
    if (mode === "cluster") await gateway.restart("proxy-1", { fresh: true });
    await gateway.restartControlPlane("SIGKILL");
    await soon(async () => {
      const probe = gateway.probes[0]!;
      expect((await ask(probe, "/readyz")).status).toBe(200);
    }, 15_000);
    const lost: Given[] = [];
    for (const order of acknowledged) if ((await inForce(order)).includes(false)) lost.push(order);
    expect(lost).toEqual([]);
  }, 300_000);
});

test("there is no control plane for the whole time: proxies go on with what they have, started anew too", async () => {
  await using fleet = await startFleet({ proxies: 2 });
  await using watch = await fleet.watch();
  const { gateway } = fleet;
  const [first] = gateway.names.proxies;
  await Promise.all(Array.from({ length: 5 }, () => watch.writer.revoke(5_000)));
  expect(await watch.writer.edit(5_000)).toMatchObject({ status: 200 });
  await gateway.controlPlane().end("SIGKILL");
  const from = performance.now();
  await pause(3_000);
  // One of them from its disk, with the bus there and nobody on it who would answer.
  const end = watch.observer.excuse(first!);
  await gateway.restart(first!);
  await soon(async () => {
    expect((await gateway.ask("/api/users/1", { token: fleet.good })).status).toBe(200);
  }, 15_000);
  end();
  await pause(5_000);
  const to = performance.now();
  for (const order of watch.writer.ledger.of("acknowledged", "revocation"))
    for (const { status } of await gateway.askAll("/api/users/1", { token: order.token }))
      expect(status).toBe(401);
  const denied = onStrict(watch.observer, { from: from + strictStalenessMs + 1_500, to }).filter(
    ({ excused }) => !excused,
  );
  expect(denied.length).toBeGreaterThan(5);
  expect(new Set(denied.map(({ code }) => code))).toEqual(new Set(["stale-state"]));
  await gateway.restartControlPlane("SIGKILL");
  const since = performance.now();
  await watch.recovered({ fault: "no control plane", since });
  await convergence(gateway);
}, 90_000);
