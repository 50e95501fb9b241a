/** Whatever a token bears the name of can be taken back, given back, and taken back again, on every proxy, over restarts. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { modes, startGateway, type Gateway } from "../harness/gateway.ts";
import { startIssuer } from "../harness/issuer.ts";
import { startOrigin } from "../harness/origin.ts";
import { soon } from "../harness/soon.ts";

interface Case {
  readonly name: string;
  readonly command: readonly string[];
  /** What another token has to be to stay. */
  readonly other: Record<string, unknown> & { readonly kid?: string };
}
const mine = { sub: "ada", jti: "t1", sid: "s1", azp: "web" };
const cases: readonly Case[] = [
  {
    name: "a token",
    command: ["token", "--jti", "t1", "--issuer", "shop"],
    other: { jti: "t2" },
  },
  { name: "a session", command: ["session", "s1"], other: { sid: "s2" } },
  { name: "a client", command: ["client", "web"], other: { azp: "app" } },
  {
    name: "a signing key",
    command: ["signing-key", "k1", "--issuer", "shop"],
    other: { kid: "k2" },
  },
  { name: "a user", command: ["user", "ada"], other: { sub: "bob" } },
  {
    name: "a user of an issuer",
    command: ["user", "ada", "--issuer", "shop"],
    other: { sub: "bob" },
  },
  { name: "an issuer", command: ["issuer", "shop"], other: { iss: "bank" } },
];

describe.each(modes)("everything can be revoked and lifted, %s", (mode) => {
  const stack = new AsyncDisposableStack();
  let gateway: Gateway;
  let sign: (claims: Record<string, unknown> & { readonly kid?: string }) => Promise<string>;

  beforeAll(async () => {
    const origin = stack.use(await startOrigin());
    const issuer = stack.use(await startIssuer());
    sign = ({ kid = "k1", ...claims }) => issuer.sign(claims, kid);
    const issuerOf = (name: string) =>
      `{ issuer: ${name}, audience: us, algorithms: [ES256], jwks: { url: "${issuer.url}" } }`;
    gateway = stack.use(
      await startGateway(mode, {
        config: `version: 1
environment: development
identity:
  issuers: [${issuerOf("shop")}, ${issuerOf("bank")}]
services:
  users: { instances: [{ url: "${origin.url}" }] }
routes:
  - { id: any, match: { path: "/*" }, service: users, auth: required }
`,
      }),
    );
    const anyone = await sign({ sub: "anyone", jti: "t0" });
    await soon(async () => expect(await answers(anyone)).toEqual(all(200)), 10_000);
  }, 60_000);
  afterAll(() => stack.disposeAsync());

  const all = <T>(value: T) => gateway.urls.map(() => value);
  const answers = async (token: string) =>
    (await gateway.askAll("/1", { token })).map((answer) =>
      answer.status === 200 ? 200 : answer.json()["code"],
    );
  interface Listed {
    readonly id: string;
    readonly liftedAt?: number;
  }
  const listed = async (...more: string[]): Promise<Listed[]> => {
    const { stdout } = await gateway.tocsin("revocations", "list", "--json", ...more);
    return (JSON.parse(stdout) as { revocations: Listed[] }).revocations;
  };
  /** @returns its id, and how long it took to be everywhere */
  async function revoke(command: readonly string[]): Promise<{ id: string; ms: number }> {
    const result = await gateway.tocsin("revoke", ...command, "--reason", "lost", "--json");
    expect(result).toMatchObject({ code: 0, stderr: "" });
    const { applied } = JSON.parse(result.stdout) as { applied: { count: number; ms: number } };
    expect(applied.count).toBe(gateway.urls.length);
    return { id: (await listed()).at(-1)!.id, ms: applied.ms };
  }
  async function lift(id: string): Promise<number> {
    const result = await gateway.tocsin("revocations", "lift", id, "--json");
    expect(result).toMatchObject({ code: 0, stderr: "" });
    const { applied } = JSON.parse(result.stdout) as { applied: { count: number; ms: number } };
    expect(applied.count).toBe(gateway.urls.length);
    return applied.ms;
  }

  test.each(cases)(
    "$name",
    async ({ command, other }) => {
      const token = await sign(mine);
      const stays = await sign({ ...mine, ...other });
      const both = async () => [await answers(token), await answers(stays)];
      expect(await both()).toEqual([all(200), all(200)]);

      const first = await revoke(command);
      expect(await both()).toEqual([all("credential-revoked"), all(200)]);
      const liftedMs = await lift(first.id);
      expect(await both()).toEqual([all(200), all(200)]);
      const second = await revoke(command);
      expect(await both()).toEqual([all("credential-revoked"), all(200)]);
      console.log(
        `${mode}, ${command[0]}: revoked everywhere in ${first.ms} ms, lifted in ${liftedMs} ms, revoked again in ${second.ms} ms`,
      );

      await lift(second.id);
      expect(await both()).toEqual([all(200), all(200)]);
      const everything = await listed("--all");
      for (const { id } of [first, second]) {
        expect(everything.find((one) => one.id === id)?.liftedAt).toBeGreaterThan(0);
        expect((await listed()).map((one) => one.id)).not.toContain(id);
      }
    },
    30_000,
  );

  test("a proxy and a control plane that were killed know what is revoked and what was lifted", async () => {
    const revoked = await sign({ ...mine, sid: "gone", jti: "t8" });
    const lifted = await sign({ ...mine, azp: "back", jti: "t9" });
    const again = await sign({ ...mine, jti: "again" });
    await revoke(["session", "gone"]);
    await lift((await revoke(["client", "back"])).id);
    await lift((await revoke(["token", "--jti", "again", "--issuer", "shop"])).id);
    await revoke(["token", "--jti", "again", "--issuer", "shop"]);
    const asked = async () => [await answers(revoked), await answers(lifted), await answers(again)];
    const expected = [all("credential-revoked"), all(200), all("credential-revoked")];
    expect(await asked()).toEqual(expected);

    await gateway.restartProxies("SIGKILL");
    await soon(async () => expect(await asked()).toEqual(expected), 10_000);
    await gateway.restartControlPlane("SIGKILL");
    await soon(async () => expect(await asked()).toEqual(expected), 10_000);
    await gateway.restartAll("SIGKILL");
    await soon(async () => expect(await asked()).toEqual(expected), 10_000);

    // What was lifted before the restarts can be revoked behind them.
    await soon(async () => {
      const { id } = await revoke(["client", "back"]);
      expect(await answers(lifted)).toEqual(all("credential-revoked"));
      await lift(id);
    }, 10_000);
    expect(await asked()).toEqual(expected);
  }, 90_000);

  test("a proxy that starts with nothing learns what was lifted too", async () => {
    if (mode === "standalone") return;
    const token = await sign({ ...mine, jti: "fresh" });
    await lift((await revoke(["token", "--jti", "fresh", "--issuer", "shop"])).id);
    const gone = await sign({ ...mine, jti: "gone" });
    await revoke(["token", "--jti", "gone", "--issuer", "shop"]);
    await gateway.restart(gateway.names.proxies[0]!, { fresh: true });
    await soon(async () => {
      expect(await answers(token)).toEqual(all(200));
      expect(await answers(gone)).toEqual(all("credential-revoked"));
    }, 10_000);
  }, 60_000);

  test("a large block of addresses is refused unless it is meant, and one for a while ends by itself", async () => {
    const everybody = await gateway.tocsin("block", "0.0.0.0/0");
    expect(everybody.code).toBe(1);
    expect(everybody.stderr).toMatch(/force/);
    const host = await gateway.tocsin("block", "10.1.2.3/8");
    expect(host.stderr).toContain("10.0.0.0/8");
    const short = await gateway.tocsin("block", "203.0.113.0/24", "--for", "2s", "--json");
    expect(short.code).toBe(0);
    const { id } = (await listed()).at(-1)!;
    await soon(async () => expect((await listed()).map((one) => one.id)).not.toContain(id), 10_000);
  }, 30_000);

  test("a token that was given as such is revoked, and its text is written nowhere", async () => {
    const token = await sign({ ...mine, jti: "by-text", sid: "s9" });
    const stays = await sign({ ...mine, jti: "by-file", sid: "s9" });
    const revoked = await gateway.tocsin("revoke", "token", token, "--reason", "was-leaked");
    expect(revoked.code).toBe(0);
    expect(await answers(token)).toEqual(all("credential-revoked"));
    expect(await answers(stays)).toEqual(all(200));
    await gateway.restartAll("SIGTERM");
    expect(await answers(token)).toEqual(all("credential-revoked"));
    const programs =
      mode === "standalone"
        ? [gateway.controlPlane()]
        : [gateway.controlPlane(), ...gateway.proxies()];
    const folders = programs.map(({ environment }) => environment["TOCSIN_STATE_DIR"]!);
    if (gateway.nats !== undefined) folders.push(gateway.nats.storeDirectory);
    const texts = folders.flatMap(filesIn).map((file) => readFileSync(file, "latin1"));
    texts.push(...programs.map((program) => program.log()), gateway.nats?.output() ?? "");
    // What the order left is there, so what is looked through is the right thing.
    expect(texts.some((text) => text.includes("was-leaked"))).toBe(true);
    for (const part of [token, ...token.split(".").slice(1)])
      expect(texts.filter((text) => text.includes(part))).toEqual([]);
  }, 60_000);
});

/** A control plane of a cluster keeps nothing on its disk. */
function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
