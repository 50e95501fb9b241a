/** The command and the real control plane. */
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { startFollower } from "../../test/cli/follower.ts";
import { config, startRealControlPlane } from "../../test/cli/real-control-plane.ts";
import { startTocsin, tocsin } from "../../test/cli/tocsin.ts";
import { startNats } from "../../test/harness/nats-server.ts";

const order = (journal: string, proxies: string) =>
  new RegExp(
    `durable  ${journal} \\d+ {3,}[\\d.]+ m?s\napplied  ${proxies} proxies( {3,}[\\d.]+ m?s {3}slowest edge-1)?\n`,
  );

describe("with a fleet", () => {
  test("orders are proven, and what was ordered is listed", async () => {
    await using plane = await startRealControlPlane();
    await using _ = await startFollower(plane.bus, "edge-1");
    const { environment } = plane;
    const revoked = await tocsin(["revoke", "user", "ada", "--reason", "left"], { environment });
    expect(revoked).toMatchObject({ code: 0, stderr: "" });
    expect(revoked.stdout).toMatch(order("revocations", "1/1"));
    const token = ["revoke", "token", "--jti", "id-1", "--issuer", "me", "--json"];
    const byId = await tocsin(token, { environment });
    expect(JSON.parse(byId.stdout)).toMatchObject({ applied: { expected: 1, count: 1 } });
    const list = await tocsin(["revocations", "list"], { environment });
    expect(list.stdout).toMatch(/user +ada +any .*left +\S+\n/);
    expect(list.stdout).toMatch(/token +id-1 +me /);
    const proxies = await tocsin(["proxies", "list"], { environment });
    expect(proxies.stdout).toMatch(/^edge-1 +1\.2\.3 +live /m);
    const nodes = await tocsin(["control-planes", "list"], { environment });
    expect(nodes.stdout).toMatch(/^\S+ +\S+ +leads +1 +[\d.]+ m?s ago$/m);
    const services = await tocsin(["services", "list"], { environment });
    expect(services).toMatchObject({ code: 0, stdout: "" });
  });

  test("a proxy that does not answer is named, and the exit code is 3", async () => {
    await using plane = await startRealControlPlane();
    await using _ = await startFollower(plane.bus, "edge-1", { mute: true });
    const args = ["revoke", "user", "ada", "--wait", "300ms"];
    const ran = await tocsin(args, { environment: plane.environment });
    expect(ran.code).toBe(3);
    expect(ran.stdout).toMatch(/applied +0\/1 proxies/);
    expect(ran.stderr).toMatch(/^edge-1 +1 entry +[\d.]+ m?s ago$/m);
  });

  test("without any proxy an order is durable, and that is said", async () => {
    await using plane = await startRealControlPlane();
    const { environment } = plane;
    const ran = await tocsin(["revoke", "user", "ada"], { environment });
    expect(ran.code).toBe(0);
    expect(ran.stdout).toMatch(order("revocations", "0/0"));
    expect(ran.stderr).toContain("No proxy is live now");
  });

  test("a config is shown as written, tried, applied as a revision, or refused as a whole", async () => {
    await using plane = await startRealControlPlane();
    await using _ = await startFollower(plane.bus, "edge-1");
    const { environment } = plane;
    const show = async () => (await tocsin(["config", "show"], { environment })).stdout;
    expect(await show()).toContain("version: 1 # as written");
    expect(await show()).not.toContain("long enough for HS256");
    const next = config.replace("as written", "second");
    const apply = (args: string[], input: string) =>
      tocsin(["config", "apply", "-", ...args], { environment, input });
    expect((await apply(["--dry-run"], next)).stdout).toMatch(/would be applied as revision 2/);
    expect((await apply(["--dry-run"], config)).stdout).toMatch(/the same as revision 1/);
    const applied = await apply([], next);
    expect(applied).toMatchObject({ code: 0, stderr: "" });
    expect(applied.stdout).toMatch(/^revision 2\n/);
    expect(applied.stdout).toMatch(order("catalogue", "1/1"));
    expect(await show()).toContain("# second");
    const stale = await apply(["--if-match", "1"], config);
    expect(stale.code).toBe(1);
    expect(stale.stderr).toContain("412");
    const wrong = await apply([], "version: 1\nservces: {}\nroutes: 3\n");
    expect(wrong.code).toBe(1);
    expect(wrong.stdout).toMatch(/^stdin:2:1 \/servces .*\nstdin:3:9 \/routes /);
    expect(await show()).toContain("# second");
  });

  test("what is refused is told in the control plane's words", async () => {
    await using plane = await startRealControlPlane();
    const { environment } = plane;
    const token = await tocsin(["revoke", "token", "no.such.token"], { environment });
    expect(token).toMatchObject({ code: 1, stdout: "" });
    expect(token.stderr).toMatch(/\(4\d\d [a-z-]+\)/);
    const service = await tocsin(["services", "show", "nobody"], { environment });
    expect(service.stderr).toContain("404 not-found");
    const wrong = { ...environment, TOCSIN_ADMIN_TOKEN: "another-token-of-the-tests" };
    const list = await tocsin(["services", "list"], { environment: wrong });
    expect(list.stderr).toContain("does not accept the token from TOCSIN_ADMIN_TOKEN");
  });
});

describe("tocsin control-plane", () => {
  test("prints what it has bound, serves, and ends with 0 when it is told to", async () => {
    await using nats = await startNats();
    const state = mkdtempSync(join(tmpdir(), "tocsin-cli-"));
    writeFileSync(join(state, "tocsin.yaml"), config);
    const environment = {
      TOCSIN_NATS_URL: nats.url,
      TOCSIN_ADMIN_LISTEN: "127.0.0.1:0",
      TOCSIN_STATE_DIR: state,
      TOCSIN_LOG_LEVEL: "silent",
    };
    const args = ["control-plane", "--json", "--config", join(state, "tocsin.yaml")];
    const child = startTocsin(args, { environment });
    const exited = once(child, "exit");
    const [line] = (await Promise.race([
      once(createInterface({ input: child.stdout }), "line"),
      exited.then(([code]) => Promise.reject(new Error(`ended with ${String(code)}`))),
    ])) as [string];
    const { admin } = JSON.parse(line) as { admin: string };
    // The command finds the token that this control plane made, by the state directory.
    const there = { TOCSIN_ADMIN_URL: admin, TOCSIN_STATE_DIR: state };
    const revoked = await tocsin(["revoke", "user", "ada"], { environment: there });
    expect(revoked).toMatchObject({ code: 0 });
    child.kill("SIGTERM");
    expect(await exited).toEqual([0, null]);
    const gone = await tocsin(["proxies", "list"], { environment: there });
    expect(gone.stderr).toContain("Nothing listens at");
  });

  test("ends with 0 when it is told to while it still waits for a bus", async () => {
    const state = mkdtempSync(join(tmpdir(), "tocsin-cli-"));
    const environment = {
      TOCSIN_NATS_URL: "nats://127.0.0.1:1",
      TOCSIN_ADMIN_LISTEN: "127.0.0.1:0",
      TOCSIN_STATE_DIR: state,
    };
    const child = startTocsin(["control-plane"], { environment });
    const exited = once(child, "exit");
    // Its first line in the log says that it is up and waiting.
    await once(child.stderr, "data");
    child.kill("SIGINT");
    const [code] = (await exited) as [number];
    expect(code).toBe(0);
  });

  test("wrong settings end with 64 before anything is bound", async () => {
    const environment = {
      TOCSIN_ADMIN_LISTEN: "everywhere",
      TOCSIN_NATS_URL: "nats://127.0.0.1:1",
    };
    const ran = await tocsin(["control-plane"], { environment });
    expect(ran).toMatchObject({ code: 64, stdout: "" });
    expect(ran.stderr).toContain('TOCSIN_ADMIN_LISTEN: found "everywhere"');
  });
});
