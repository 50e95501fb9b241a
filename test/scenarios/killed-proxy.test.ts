import { expect, test } from "vitest";
import { startGateway } from "../harness/gateway.ts";
import { startOrigin } from "../harness/origin.ts";
import { soon } from "../harness/soon.ts";
import { issuerConfig, token } from "../harness/tokens.ts";

test("a proxy that is killed the moment an order is answered, and starts while the bus is away, has every order that it acknowledged", async () => {
  await using origin = await startOrigin();
  await using gateway = await startGateway("cluster", {
    config: `version: 1
environment: development
${issuerConfig}
services:
  users: { instances: [{ url: "${origin.url}" }] }
routes:
  - { id: users, match: { path: "/api/users/*" }, service: users, auth: required }
`,
  });
  const good = await token();
  const ask = async (text: string) =>
    (await gateway.ask("/api/users/1", { token: text, proxy: 0 })).status;
  const revoked: string[] = [];
  for (let round = 0; round < 5; round += 1) {
    await soon(async () => {
      expect(await ask(good)).toBe(200);
      const probe = await gateway.admin("POST", "/v1/revocations?wait=1s", {
        kind: "user",
        subject: `nobody-${round}`,
      });
      expect(probe.status).toBe(200);
      expect(probe.json()).toMatchObject({ applied: { expected: 2, count: 2 } });
    }, 15_000);
    for (let order = 0; order <= round; order += 1) {
      const next = await token({ subject: `mallory-${round}-${order}` });
      const answer = await gateway.admin("POST", "/v1/revocations", { token: next });
      if (order === round) gateway.node("proxy-1").process.kill("SIGKILL");
      expect(answer.json()).toMatchObject({ applied: { expected: 2, count: 2 } });
      revoked.push(next);
    }
    await gateway.nats!.kill("SIGKILL");
    await gateway.restart("proxy-1");
    // Nothing is let in before that, and then all that was revoked is.
    await soon(async () => expect(await ask(good)).toBe(200), 15_000);
    for (const text of revoked) expect(await ask(text)).toBe(401);
    expect(await ask(good)).toBe(200);
    await gateway.nats!.restart();
  }
}, 120_000);
