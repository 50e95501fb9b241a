/** WebSockets with both ends raw: the handshake, and every byte behind it. */
import { expect, test } from "vitest";
import { soon } from "./gateway.fixture.ts";
import { closing, frame, plainFrame } from "../websocket/frames.fixture.ts";
import { startStage, switchingText } from "./websocket.fixture.ts";

test("a handshake goes end to end, and bytes pass both ways as they are", async () => {
  await using stage = await startStage();
  const { client, service } = await stage.open(
    ["Sec-WebSocket-Protocol: chat, superchat", "X-Request-ID: forged"],
    switchingText(["Sec-WebSocket-Protocol: superchat", "Set-Cookie: a=1", "Set-Cookie: b=2"]),
  );
  expect(service.head).toMatch(/^GET \/chat HTTP\/1\.1\r\n/);
  expect(service.head).toContain("\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
  expect(service.head).toContain("\r\nSec-WebSocket-Protocol: chat, superchat\r\n");
  expect(service.head).not.toContain("forged");
  const id = /X-Request-ID: ([a-f0-9]{32})\r\n/.exec(service.head)![1];
  expect(client.head).toBe(
    switchingText(["Sec-WebSocket-Protocol: superchat", "Set-Cookie: a=1", "Set-Cookie: b=2"])
      .replace("Upgrade: websocket\r\nConnection: Upgrade\r\n", "")
      .replace(/\r\n$/, `Upgrade: websocket\r\nConnection: Upgrade\r\nX-Request-ID: ${id}\r\n\r\n`),
  );
  const up = Buffer.concat([frame("hello"), frame("x".repeat(70_000), { opcode: 2 })]);
  const down = Buffer.concat([plainFrame("y".repeat(300)), plainFrame("", { opcode: 9 })]);
  client.send(up);
  service.send(down);
  await service.gets(up);
  await client.gets(down);
  client.send(frame(closing(1000, "bye"), { opcode: 8 }));
  await service.gets(Buffer.concat([up, frame(closing(1000, "bye"), { opcode: 8 })]));
  service.send(plainFrame(closing(1000, "bye"), { opcode: 8 }));
  await soon(() => client.ended && service.ended);
  await client.gets(Buffer.concat([down, plainFrame(closing(1000, "bye"), { opcode: 8 })]));
  client.socket.end();
  service.socket.end();
  const record = await soon(() => stage.gateway.records[0]);
  expect(record).toMatchObject({ status: 101, route: "all", service: "a", code: undefined });
  expect(record.aborted).toBeUndefined();
  expect(record.bytesIn).toBe(service.frames.length);
  expect(record.bytesOut).toBe(client.frames.length);
});
