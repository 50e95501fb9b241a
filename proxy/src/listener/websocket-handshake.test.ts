/** The opening handshake (RFC 6455 §4) with both ends raw: who may, who may not, and what a service may say to it. */
import { describe, expect, test } from "vitest";
import { acceptOf } from "../websocket/handshake.ts";
import { frame, plainFrame } from "../websocket/frames.fixture.ts";
import { answering, codeOf, ok, soon, statusOf } from "./gateway.fixture.ts";
import { handshakeText, key, startStage, switchingText } from "./websocket.fixture.ts";

/** A handshake with some of its lines replaced; an empty text takes the line out. */
function changed(changes: Record<string, string>, requestLine?: string): string {
  let text = handshakeText();
  for (const [name, line] of Object.entries(changes))
    text = text.replace(new RegExp(`${name}: .*\r\n`), line === "" ? "" : `${line}\r\n`);
  return requestLine === undefined ? text : text.replace("GET /chat HTTP/1.1", requestLine);
}

describe("is refused, and the service hears nothing", () => {
  test.each([
    ["no version", changed({ "Sec-WebSocket-Version": "" }), 426, "upgrade-required"],
    [
      "an old version",
      changed({ "Sec-WebSocket-Version": "Sec-WebSocket-Version: 8" }),
      426,
      "upgrade-required",
    ],
    [
      "a version that nobody knows",
      changed({ "Sec-WebSocket-Version": "Sec-WebSocket-Version: 14" }),
      426,
      "upgrade-required",
    ],
    [
      "a list of versions",
      changed({ "Sec-WebSocket-Version": "Sec-WebSocket-Version: 13, 8" }),
      426,
      "upgrade-required",
    ],
    [
      "two versions",
      changed({
        "Sec-WebSocket-Version": "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13",
      }),
      426,
      "upgrade-required",
    ],
    ["no key", changed({ "Sec-WebSocket-Key": "" }), 400, "bad-request"],
    ["an empty key", changed({ "Sec-WebSocket-Key": "Sec-WebSocket-Key: " }), 400, "bad-request"],
    [
      "a key of 15 bytes",
      changed({ "Sec-WebSocket-Key": "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j" }),
      400,
      "bad-request",
    ],
    [
      "a key of 17 bytes",
      changed({ "Sec-WebSocket-Key": "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWU=" }),
      400,
      "bad-request",
    ],
    [
      "a key that is no base64",
      changed({ "Sec-WebSocket-Key": "Sec-WebSocket-Key: dGhlIHNhbXBs!SBub25jZQ==" }),
      400,
      "bad-request",
    ],
    [
      "a key with bits beyond its bytes",
      changed({ "Sec-WebSocket-Key": "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==" }),
      400,
      "bad-request",
    ],
    [
      "two keys",
      changed({ "Sec-WebSocket-Key": `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Key: ${key}` }),
      400,
      "bad-request",
    ],
    [
      "a key that Connection names",
      changed({ Connection: "Connection: Upgrade, Sec-WebSocket-Key" }),
      400,
      "bad-request",
    ],
    ["another page", handshakeText(["Origin: https://evil.example"]), 403, "forbidden"],
    ["a page on a subdomain", handshakeText(["Origin: https://a.gw.test"]), 403, "forbidden"],
    ["a page on another port", handshakeText(["Origin: http://gw.test:81"]), 403, "forbidden"],
    [
      "a page whose host ends like ours",
      handshakeText(["Origin: http://evil-gw.test"]),
      403,
      "forbidden",
    ],
    ["a page of nowhere", handshakeText(["Origin: null"]), 403, "forbidden"],
    ["an Origin with a path", handshakeText(["Origin: http://gw.test/x"]), 403, "forbidden"],
    [
      "an Origin with user information",
      handshakeText(["Origin: http://gw.test@evil.example"]),
      403,
      "forbidden",
    ],
    ["an empty Origin", handshakeText(["Origin: "]), 403, "forbidden"],
    [
      "two Origins, one of them ours",
      handshakeText(["Origin: http://gw.test", "Origin: https://evil.example"]),
      403,
      "forbidden",
    ],
    [
      "our host as somebody says it is who is not believed",
      handshakeText(["Origin: https://app.example", "X-Forwarded-Host: app.example"]),
      403,
      "forbidden",
    ],
    ["two hosts", changed({ Host: "Host: gw.test\r\nHost: evil.example" }), 400, "bad-request"],
  ])("%s", async (_name, text, status, code) => {
    await using stage = await startStage();
    const client = stage.client(text);
    await soon(() => client.ended);
    expect(statusOf(client.text)).toBe(status);
    expect(codeOf(client.text)).toBe(code);
    expect(client.head).toMatch(/\r\nconnection: (?:upgrade, )?close\r\n/i);
    expect(client.head).toContain("application/problem+json");
    if (status === 426) {
      expect(client.head).toMatch(/\r\nsec-websocket-version: 13\r\n/i);
      expect(client.head).toMatch(/\r\nupgrade: websocket\r\n/i);
    }
    client.socket.end();
    await soon(() => client.closed);
    expect(stage.origin.connections).toHaveLength(0);
    const record = await soon(() => stage.gateway.records[0]);
    expect(record).toMatchObject({ status, code, aborted: undefined });
    await soon(() => stage.gateway.listener.active === 0);
  });
});

describe("becomes a WebSocket", () => {
  test.each([
    [
      "in other spellings",
      changed({ Connection: "connection: keep-alive, UPGRADE", Upgrade: "UPGRADE: WebSocket" }),
    ],
    ["beside another protocol", changed({ Upgrade: "Upgrade: h2c, websocket" })],
    ["with a length of 0", handshakeText(["Content-Length: 0"])],
    ["from a page of the host", handshakeText(["Origin: http://gw.test"])],
    ["from a page of the host behind TLS", handshakeText(["Origin: https://GW.test:443"])],
    ["from a page that is listed", handshakeText(["Origin: https://app.example:8443"])],
    ["in absolute form", changed({}, "GET http://gw.test/chat HTTP/1.1")],
  ])("%s", async (_name, text) => {
    await using stage = await startStage({ websocket: { origins: ["https://app.example:8443"] } });
    const client = stage.client(text);
    const service = await soon(() => stage.services[0]);
    await soon(() => service.head !== "");
    expect(service.head).toContain("\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    expect(service.head.match(/\r\nupgrade:/gi)).toHaveLength(1);
    expect(service.head.match(/\r\nconnection:/gi)).toHaveLength(1);
    service.send(switchingText());
    await soon(() => client.head !== "");
    expect(statusOf(client.head)).toBe(101);
  });

  test("from any page, where every one may", async () => {
    await using stage = await startStage({ websocket: { origins: ["*"] } });
    const { client } = await stage.open(["Origin: null"]);
    expect(statusOf(client.head)).toBe(101);
  });

  test("from a page of the host by which a trusted proxy was called", async () => {
    await using stage = await startStage({
      config: {
        listen: { trustedProxies: ["127.0.0.1"] },
        routes: [{ id: "all", match: { path: "/*" }, service: "a", auth: "none", websocket: true }],
      },
    });
    const { client } = await stage.open([
      "Origin: https://app.example",
      "X-Forwarded-Host: app.example",
    ]);
    expect(statusOf(client.head)).toBe(101);
  });
});

describe("is served as a plain request", () => {
  const plain: [string, string][] = [
    ["by another method", changed({}, "POST /chat HTTP/1.1")],
    ["in HTTP/1.0", changed({}, "GET /chat HTTP/1.0")],
    ["with a body", `${handshakeText(["Content-Length: 4"])}body`],
    [
      "with a body in chunks",
      `${handshakeText(["Transfer-Encoding: chunked"])}4\r\nbody\r\n0\r\n\r\n`,
    ],
    ["without Connection: Upgrade", changed({ Connection: "Connection: keep-alive" })],
    [
      "to HTTP/2",
      changed({
        Upgrade: "Upgrade: h2c",
        Connection: "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
      }),
    ],
    ["to a name that begins alike", changed({ Upgrade: "Upgrade: websockets" })],
  ];
  test.each(plain)("%s", async (_name, text) => {
    await using stage = await startStage({ behave: answering(ok) });
    const client = stage.client(text);
    await soon(() => client.text.includes("\r\n\r\nok"));
    expect(statusOf(client.text)).toBe(200);
    const { head } = stage.services[0]!;
    expect(head).not.toMatch(/\r\n(?:upgrade|http2-settings):/i);
    expect(head).not.toMatch(/\r\nconnection:.*upgrade/i);
  });

  test("where the route takes none, with whatever is wrong with it", async () => {
    await using stage = await startStage({
      behave: answering(ok),
      config: { routes: [{ id: "all", match: { path: "/*" }, service: "a", auth: "none" }] },
    });
    const client = stage.client(changed({ "Sec-WebSocket-Version": "Sec-WebSocket-Version: 8" }));
    await soon(() => client.ended);
    expect(client.text).toMatch(
      /^HTTP\/1\.1 200 OK\r\n[^]*\r\nConnection: close\r\n[^]*\r\n\r\nok$/,
    );
    expect(stage.services[0]!.head).not.toMatch(/\r\nupgrade:/i);
  });

  test("behind a request that is not answered yet", async () => {
    await using stage = await startStage();
    const client = stage.client(`GET /first HTTP/1.1\r\nHost: gw.test\r\n\r\n${handshakeText()}`);
    const [first, second] = await soon(() => stage.services.length === 2 && stage.services);
    await soon(() => first!.head !== "" && second!.head !== "");
    const [plainOne, other] = first!.head.includes("/first")
      ? [first!, second!]
      : [second!, first!];
    expect(other.head).not.toMatch(/\r\nupgrade:/i);
    other.send(ok);
    plainOne.send(ok);
    await soon(() => client.text.split("\r\n\r\nok").length === 3);
  });

  const h2c = changed({ Upgrade: "Upgrade: h2c" });
  const post = `${changed({ Upgrade: "Upgrade: h2c" }, "POST /chat HTTP/1.1").replace(/\r\n$/, "Content-Length: 4\r\n\r\n")}body`;

  test.each([
    ["a request", h2c],
    ["a request with a body", post],
  ])("and the connection of %s goes on", async (_name, text) => {
    await using stage = await startStage({ behave: answering(ok) });
    const client = stage.client(text);
    for (let count = 2; count <= 4; count += 1) {
      await soon(() => client.text.split("\r\n\r\nok").length === count);
      client.send(text);
    }
    expect(client.text).not.toMatch(/connection: close/i);
  });

  const hidden = "GET /hidden HTTP/1.1\r\nHost: other.test\r\n\r\n";
  const cut = "POST /cut HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 45\r\n\r\n";
  test.each([
    ["a request", h2c, hidden],
    ["a request", h2c, cut],
    ["a request with a body", post, hidden],
    ["a request with a body", post, cut],
    ["a request in another spelling", h2c.replace(": gw.test", ":gw.test"), "GET / HTTP/1.1\r"],
  ])(
    "and behind %s nothing is served that came in one piece with it, nor the rest of that",
    async (_name, text, more) => {
      await using stage = await startStage({ behave: answering(ok) });
      const client = stage.client(text + more);
      await soon(() => client.text.includes("\r\n\r\nok"));
      client.send(hidden);
      await soon(() => client.ended || client.closed);
      expect(client.text).toMatch(/\r\nConnection: close\r\n/);
      expect(stage.origin.received()).not.toMatch(/hidden|cut/);
      await soon(() => stage.gateway.listener.active === 0);
      expect(stage.gateway.records.map(({ path }) => path)).toEqual(["/chat"]);
    },
  );

  test("a 101 of the service is then a broken answer", async () => {
    await using stage = await startStage({ behave: answering(switchingText()) });
    const client = stage.client(changed({ Upgrade: "Upgrade: h2c" }));
    await soon(() => client.head !== "");
    expect(statusOf(client.head)).toBe(502);
    await soon(() => stage.services[0]!.ended || stage.services[0]!.closed);
  });
});

describe("a 101 that does not fit is a 502, and both connections are dropped", () => {
  const replaced = (line: string, by: string) => switchingText().replace(line, by);
  const offer = [
    "Sec-WebSocket-Protocol: chat",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
  ];
  test.each([
    ["no accept", replaced(`Sec-WebSocket-Accept: ${acceptOf(key)}\r\n`, "")],
    ["the accept of another key", switchingText([], acceptOf("AAAAAAAAAAAAAAAAAAAAAA=="))],
    ["an accept in other letters", switchingText([], acceptOf(key).toLowerCase())],
    ["two accepts", switchingText([`Sec-WebSocket-Accept: ${acceptOf(key)}`])],
    [
      "an accept that Connection names",
      replaced("Connection: Upgrade", "Connection: Upgrade, Sec-WebSocket-Accept"),
    ],
    ["no Upgrade", replaced("Upgrade: websocket\r\n", "")],
    ["another protocol", replaced("Upgrade: websocket", "Upgrade: h2c")],
    ["two protocols", replaced("Upgrade: websocket", "Upgrade: websocket, h2c")],
    ["no Connection", replaced("Connection: Upgrade\r\n", "")],
    ["Connection: keep-alive", replaced("Connection: Upgrade", "Connection: keep-alive")],
    ["a sub-protocol that was not offered", switchingText(["Sec-WebSocket-Protocol: other"])],
    ["a sub-protocol in other letters", switchingText(["Sec-WebSocket-Protocol: Chat"])],
    [
      "two sub-protocols",
      switchingText(["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: chat"]),
    ],
    ["a list of sub-protocols", switchingText(["Sec-WebSocket-Protocol: chat, chat"])],
    ["an extension that was not offered", switchingText(["Sec-WebSocket-Extensions: x-mux"])],
    [
      "one more extension than was offered",
      switchingText(["Sec-WebSocket-Extensions: permessage-deflate, x-mux"]),
    ],
    ["a length", switchingText(["Content-Length: 0"])],
    ["chunks", switchingText(["Transfer-Encoding: chunked"])],
    ["a folded line", switchingText(["X-A: b\r\n c"])],
  ])("%s", async (_name, answer) => {
    await using stage = await startStage();
    const client = stage.client(handshakeText(offer));
    const service = await soon(() => stage.services[0]);
    await soon(() => service.head !== "");
    service.send(Buffer.concat([Buffer.from(answer), plainFrame("too early")]));
    await soon(() => client.ended);
    expect(statusOf(client.text)).toBe(502);
    expect(codeOf(client.text)).toBe("upstream-failed");
    expect(client.text).not.toContain("too early");
    await soon(() => service.ended || service.closed);
    expect(service.frames).toHaveLength(0);
    expect(stage.gateway.streams.size).toBe(0);
  });
});

describe("an answer that is no 101 passes like any other, and the connection ends", () => {
  test.each([
    ["200 with a body", ok, "200 OK", "ok"],
    [
      "401 in chunks",
      "HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\nWWW-Authenticate: Basic\r\n\r\n3\r\nwho\r\n0\r\n\r\n",
      "401 Unauthorized",
      "3\r\nwho\r\n0\r\n\r\n",
    ],
    [
      "403 until the end of the connection",
      "HTTP/1.1 403 Forbidden\r\n\r\nno",
      "403 Forbidden",
      "2\r\nno\r\n0\r\n\r\n",
    ],
    [
      "426",
      "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n",
      "426 Upgrade Required",
      "",
    ],
    ["302", "HTTP/1.1 302 Found\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n", "302 Found", ""],
    ["204", "HTTP/1.1 204 No Content\r\n\r\n", "204 No Content", ""],
  ])("%s", async (_name, answer, status, body) => {
    await using stage = await startStage();
    const client = stage.client();
    const service = await soon(() => stage.services[0]);
    await soon(() => service.head !== "");
    service.send(answer);
    if (!/length|chunked|204/i.test(answer)) service.socket.end();
    await soon(() => client.ended);
    expect(client.head).toMatch(
      new RegExp(`^HTTP/1\\.1 ${status}\r\n[^]*\r\nConnection: close\r\n`),
    );
    expect(client.head).not.toMatch(/\r\nupgrade:/i);
    expect(client.frames.toString()).toBe(body);
    // A connection that could have switched is used for nothing else.
    await soon(() => service.ended || service.closed);
    client.socket.end();
    await soon(() => stage.gateway.records.length === 1 && stage.gateway.listener.active === 0);
    expect(stage.gateway.records[0]).toMatchObject({
      status: Number(status.slice(0, 3)),
      aborted: undefined,
    });
  });

  test("a large body goes no faster than the client takes it, and arrives whole", async () => {
    await using stage = await startStage();
    const client = stage.client();
    const service = await soon(() => stage.services[0]);
    await soon(() => service.head !== "");
    const body = Buffer.alloc(48 * 1024 * 1024, 97);
    client.socket.pause();
    service.send(`HTTP/1.1 404 Not Found\r\nContent-Length: ${body.length}\r\n\r\n`);
    let drained = false;
    service.socket.on("drain", () => (drained = true));
    service.send(body);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(drained).toBe(false);
    client.socket.resume();
    await soon(() => client.ended);
    expect(client.frames.equals(body)).toBe(true);
  });
});

describe("interim answers", () => {
  test("103 goes on, 100 does not, and then it is a WebSocket", async () => {
    await using stage = await startStage();
    const client = stage.client();
    const service = await soon(() => stage.services[0]);
    await soon(() => service.head !== "");
    service.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    await soon(() => client.text.includes("Link"));
    service.send(Buffer.concat([Buffer.from(switchingText()), plainFrame("first")]));
    await soon(() => client.text.includes("first"));
    expect(client.text).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a>\r\n\r\nHTTP\/1\.1 101 /,
    );
  });
});

describe("a service without an answer", () => {
  test.each([
    ["closes", 502, "upstream-failed"],
    ["closes in the middle of the head", 502, "upstream-failed"],
    ["says nothing", 504, "upstream-timeout"],
    ["says HTTP/2", 502, "upstream-failed"],
  ])("%s", async (how, status, code) => {
    await using stage = await startStage({
      gateway: {},
      config: {
        services: { a: { timeouts: { firstByte: "300ms" } } },
        routes: [{ id: "all", match: { path: "/*" }, service: "a", auth: "none", websocket: true }],
      },
    });
    const client = stage.client();
    const service = await soon(() => stage.services[0]);
    await soon(() => service.head !== "");
    if (how === "closes") service.socket.destroy();
    else if (how === "says HTTP/2") service.send("\0\0\x06\x04\0\0\0\0\0\0\x05\0\0@\0");
    else if (how !== "says nothing") service.socket.end("HTTP/1.1 101 Swit");
    await soon(() => client.ended);
    expect(statusOf(client.text)).toBe(status);
    expect(codeOf(client.text)).toBe(code);
    await soon(() => service.ended || service.closed);
  });

  test("is passed over for another instance when it cannot be reached", async () => {
    await using stage = await startStage();
    const gone = await startStage();
    const { port } = gone.origin;
    await gone[Symbol.asyncDispose]();
    stage.gateway.setInstances(
      ...[port, stage.origin.port].map((at) => ({
        key: `a.i${at}.1`,
        service: "a",
        instance: `i${at}`,
        url: `http://127.0.0.1:${at}`,
        weight: 1,
        eligible: true,
        active: true,
      })),
    );
    for (let index = 0; index < 4; index += 1) {
      const { client } = await stage.open();
      expect(statusOf(client.head)).toBe(101);
    }
  });

  test("is told when the client goes away before it has answered", async () => {
    await using stage = await startStage();
    const client = stage.client();
    const service = await soon(() => stage.services[0]);
    await soon(() => service.head !== "");
    client.socket.destroy();
    await soon(() => service.ended || service.closed);
    const record = await soon(() => stage.gateway.records[0]);
    expect(record).toMatchObject({ status: 499, aborted: "client-gone" });
    await soon(() => stage.gateway.listener.active === 0);
  });
});

test("first bytes behind the head of either side are not lost", async () => {
  await using stage = await startStage();
  const up = Buffer.concat([frame("early"), frame("bird")]);
  const client = stage.client(Buffer.concat([Buffer.from(handshakeText()), up.subarray(0, 5)]));
  const service = await soon(() => stage.services[0]);
  await soon(() => service.head !== "");
  client.send(up.subarray(5));
  const down = plainFrame("worm");
  service.send(Buffer.concat([Buffer.from(switchingText()), down]));
  await service.gets(up);
  await client.gets(down);
});
