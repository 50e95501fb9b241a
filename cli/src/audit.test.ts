/** `tocsin audit`, and the real control plane. */
import { once } from "node:events";
import { hostname, userInfo } from "node:os";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { startFollower } from "../../test/cli/follower.ts";
import { startRealControlPlane } from "../../test/cli/real-control-plane.ts";
import { startTocsin, tocsin } from "../../test/cli/tocsin.ts";
import { startNats } from "../../test/harness/nats-server.ts";

test("what was ordered and what was refused, the newest last", async () => {
  await using plane = await startRealControlPlane();
  await using _ = await startFollower(plane.bus, "edge-1");
  const { environment } = plane;
  await tocsin(["revoke", "user", "ada", "--reason", "left the company"], { environment });
  await tocsin(["purge", "--all"], {
    environment: { ...environment, TOCSIN_ADMIN_TOKEN: "x".repeat(32) },
  });
  const { code, stdout, stderr } = await tocsin(["audit"], { environment });
  expect([code, stderr]).toEqual([0, ""]);
  const lines = stdout.trimEnd().split("\n");
  expect(lines).toHaveLength(4);
  expect(lines[0]).toMatch(/^TIME +WHO +FROM +ACTION +ABOUT +OUTCOME +APPLIED +REASON$/);
  expect(lines[1]).toMatch(/Z +start +applyConfig +revision 1 file test +done/);
  const me = `127.0.0.1 ${userInfo().username}@${hostname()}`;
  expect(lines[2]).toMatch(
    /Z +admin:[0-9a-f]{8} .* revoke +user subject ada +done +1\/1 in [\d.]+ ms +left the company$/,
  );
  expect(lines[2]).toContain(me);
  expect(lines[3]).toMatch(/Z +unknown .* invalidate +refused 401 credential-invalid$/);

  const asked = async (...words: string[]) => {
    const ran = await tocsin(["audit", "--json", ...words], { environment });
    expect([ran.code, ran.stderr]).toEqual([0, ""]);
    const { records } = JSON.parse(ran.stdout) as { records: { action: string }[] };
    return records.map(({ action }) => action);
  };
  expect(await asked()).toEqual(["invalidate", "revoke", "applyConfig"]);
  expect(await asked("--limit", "2")).toEqual(["invalidate", "revoke"]);
  expect(await asked("--outcome", "refused")).toEqual(["invalidate"]);
  expect(await asked("--who", "admin", "--since", "5m")).toEqual(["revoke"]);
  expect(await asked("--until", "5m")).toEqual([]);
  const none = await tocsin(["audit", "--action", "nothing"], { environment });
  expect(none).toMatchObject({
    code: 0,
    stdout: "",
    stderr: "Nothing like that is in the audit.\n",
  });
});

test.each([
  [["--limit", "0"], /--limit: "0" is not a whole number/],
  [["--since", "soon"], /--since: "soon"/],
  [["--outcome", "ok"], /Allowed choices are done, refused, failed/],
])("tocsin audit %j says what is wrong", async (words, message) => {
  const { code, stdout, stderr } = await tocsin(["audit", ...words]);
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(message);
});

test("followed in a cluster it goes on with what comes, once each, until it is stopped", async () => {
  await using nats = await startNats();
  await using plane = await startRealControlPlane({ natsUrl: nats.url });
  const { environment } = plane;
  const child = startTocsin(["audit", "--follow", "--json"], { environment });
  const lines: string[] = [];
  const heard = new Map<number, () => void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    heard.get(lines.length)?.();
  });
  const reached = (count: number) =>
    lines.length >= count
      ? Promise.resolve()
      : new Promise<void>((resolve) => void heard.set(count, resolve));
  await reached(1);
  for (const user of ["ada", "bob"]) await tocsin(["purge", "--user", user], { environment });
  await reached(3);
  const ended = once(child, "exit");
  child.kill("SIGINT");
  expect(await ended).toEqual([0, null]);
  const records = lines.map((line) => JSON.parse(line) as { action: string; target: object });
  expect(records.map(({ target }) => target)).toEqual([
    { revision: 1, file: "test" },
    { user: "ada" },
    { user: "bob" },
  ]);
});
