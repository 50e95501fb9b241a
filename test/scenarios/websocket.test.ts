import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { modes, startGateway, type Gateway } from "../harness/gateway.ts";
import { soon } from "../harness/soon.ts";
import { audience, issuer, secret, token } from "../harness/tokens.ts";
import { startWebSocketService } from "../harness/websocket-service.ts";

const documentFor = (url: string, websocket?: object) => ({
  version: 1,
  environment: "development",
  identity: { issuers: [{ issuer, audience, algorithms: ["HS256"], secret }] },
  services: { chat: { instances: [{ url }] } },
  routes: [
    { id: "chat", match: { path: "/chat/*" }, service: "chat", auth: "required", websocket },
  ],
});
const configFor = (url: string) => JSON.stringify(documentFor(url, { perPrincipal: 5 }));

/** Node's own client. It takes fields of the handshake, which browsers do not. */
function dial(gateway: Gateway, fields: Record<string, string>, proxy = 0): WebSocket {
  const url = new URL("/chat/room", gateway.urls[proxy]);
  url.protocol = "ws:";
  return new WebSocket(url, {
    protocols: ["talk", "shout"],
    headers: fields,
  });
}

async function opened(gateway: Gateway, proxy = 0): Promise<WebSocket> {
  const authorization = `Bearer ${await token({ subject: "alice" })}`;
  return soon(async () => {
    const socket = dial(gateway, { authorization }, proxy);
    const failed = once(socket, "error").then(() => {
      throw new Error("the handshake failed");
    });
    await Promise.race([once(socket, "open"), failed]);
    return socket;
  });
}

async function said(socket: WebSocket, text: string): Promise<string> {
  const heard = once(socket, "message");
  socket.send(text);
  const [event] = (await heard) as [MessageEvent];
  return event.data as string;
}

describe.each(modes)("WebSockets, %s", (mode) => {
  test("talk through every proxy, as whom they were let in", async () => {
    await using service = await startWebSocketService();
    await using gateway = await startGateway(mode, { config: configFor(service.url) });
    for (const proxy of gateway.urls.keys()) {
      const socket = await opened(gateway, proxy);
      expect(socket.protocol).toBe("talk");
      const large = "x".repeat(200_000);
      for (const text of ["", "hello", "ünïcode 💬", large])
        expect(await said(socket, text)).toBe(text);
      expect(service.handshakes.at(-1)!.headers["x-user-id"]).toBe("alice");
      const closed = once(socket, "close");
      service.close(4_000);
      const [event] = (await closed) as [CloseEvent];
      expect(event).toMatchObject({ code: 4_000, wasClean: true });
    }
    await soon(() => expect(service.open.size).toBe(0));
  }, 60_000);

  test("are for nobody without a credential, and for nobody too often", async () => {
    await using service = await startWebSocketService();
    await using gateway = await startGateway(mode, { config: configFor(service.url) });
    const refused = dial(gateway, {});
    await once(refused, "error");
    expect(service.handshakes).toHaveLength(0);
    const handshake = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    };
    const answer = await gateway.ask("/chat/room", { headers: handshake });
    expect(answer.status).toBe(401);
    expect(answer.json()).toMatchObject({ code: "credential-missing" });
    const open = await Promise.all(Array.from({ length: 5 }, () => opened(gateway)));
    const sixth = await gateway.ask("/chat/room", {
      headers: handshake,
      token: await token({ subject: "alice" }),
    });
    expect(sixth.status).toBe(429);
    expect(sixth.json()).toMatchObject({ code: "quota-exceeded" });
    for (const socket of open) socket.close();
    await opened(gateway);
  }, 60_000);

  test("a proxy that stops says 1001 to both sides, and nothing is cut", async () => {
    await using service = await startWebSocketService();
    await using gateway = await startGateway(mode, { config: configFor(service.url) });
    const sockets = await Promise.all(Array.from({ length: 4 }, () => opened(gateway)));
    const closed = Promise.all(
      sockets.map(async (socket) => ((await once(socket, "close")) as [CloseEvent])[0]),
    );
    const name = gateway.names.proxies[0]!;
    const code = await gateway.node(name).end("SIGTERM");
    for (const event of await closed)
      expect(event).toMatchObject({ code: 1_001, reason: "shutdown", wasClean: true });
    expect(code).toBe(0);
    await soon(() => expect(service.open.size).toBe(0));
    await gateway.restart(name);
    const again = await opened(gateway);
    expect(await said(again, "back")).toBe("back");
  }, 60_000);

  test("a config without them is for new ones; those that are open go on", async () => {
    await using service = await startWebSocketService();
    await using gateway = await startGateway(mode, { config: configFor(service.url) });
    const socket = await opened(gateway);
    const revision = (await gateway.admin("GET", "/v1/config")).json()["revision"] as number;
    expect((await gateway.put("/v1/config", documentFor(service.url), revision)).status).toBe(200);
    const answer = await gateway.ask("/chat/room", {
      headers: { connection: "Upgrade", upgrade: "websocket" },
      token: await token(),
    });
    expect(answer.status).toBe(200);
    expect(answer.text).toBe("plain");
    expect(await said(socket, "still here")).toBe("still here");
  }, 60_000);
});
