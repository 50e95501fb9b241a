/** A leaked list of tokens, taken back by one command on every proxy. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { modes, startGateway } from "../harness/gateway.ts";
import { startOrigin } from "../harness/origin.ts";
import { soon } from "../harness/soon.ts";
import { issuerConfig, token } from "../harness/tokens.ts";

const configFor = (url: string) => `version: 1
environment: development
${issuerConfig}
services:
  users: { instances: [{ url: "${url}" }], health: { path: /health, interval: 500ms } }
routes:
  - { id: users, match: { path: "/api/users/*" }, service: users, auth: required }
`;

test.each(modes)(
  "every token of a list is refused by every proxy when the command returns, and after a restart of everything (%s)",
  async (mode) => {
    await using origin = await startOrigin();
    await using gateway = await startGateway(mode, { config: configFor(origin.url) });
    const statuses = async (text: string) =>
      (await gateway.askAll("/api/users/1", { token: text })).map(({ status }) => status);
    const all = (status: number) => gateway.urls.map(() => status);
    const good = await token({ subject: "ada" });
    const leaked = await Promise.all(
      Array.from({ length: 1_500 }, (_, index) => token({ subject: `user-${index}` })),
    );
    const samples = [leaked[0]!, leaked[777]!, leaked.at(-1)!];
    await soon(async () => expect(await statuses(good)).toEqual(all(200)));
    for (const text of samples) expect(await statuses(text)).toEqual(all(200));

    const directory = mkdtempSync(join(tmpdir(), "tocsin-bulk-"));
    await using stack = new AsyncDisposableStack();
    stack.defer(() => rmSync(directory, { recursive: true }));
    const file = join(directory, "leaked.txt");
    writeFileSync(file, leaked.join("\n"));
    const args = ["revoke", "token", "--file", file, "--operation", "leak-7", "--wait", "10s"];
    const order = await gateway.tocsin(...args);
    expect(order).toMatchObject({ code: 0, stderr: "" });
    const count = gateway.urls.length;
    expect(order.stdout).toMatch(/ 1500 at once$/m);
    expect(order.stdout).toMatch(new RegExp(`^applied +${count}/${count} proxies `, "m"));
    for (const text of samples) expect(await statuses(text)).toEqual(all(401));
    expect(await statuses(good)).toEqual(all(200));

    await gateway.restartAll("SIGKILL");
    await soon(async () => expect(await statuses(good)).toEqual(all(200)), 10_000);
    for (const text of samples) expect(await statuses(text)).toEqual(all(401));
    const again = await gateway.tocsin(...args);
    expect(again.code).toBe(0);
    expect(again.stderr).toContain("The same order was durable before");
  },
  90_000,
);
