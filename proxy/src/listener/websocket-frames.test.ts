/** What may and may not be said on an open WebSocket, with both ends raw: exact bytes on both sides. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { closing, frameCases, maxMessageBytes } from "../websocket/frames.fixture.ts";
import { soon } from "./gateway.fixture.ts";
import { lastClose, startStage, switchingText } from "./websocket.fixture.ts";
import type { End, Stage } from "./websocket.fixture.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await startStage({ websocket: { maxMessage: `${maxMessageBytes}B` } });
});
afterAll(() => stage[Symbol.asyncDispose]());

const extension = "Sec-WebSocket-Extensions: permessage-deflate";
const codes = { "protocol-error": 1002, "message-too-large": 1009 };

/** The close frame of the gateway: masked towards a service. */
async function closed(end: End, before: Buffer, said: string): Promise<void> {
  const found = await soon(() => lastClose(end.frames));
  expect(found).toBe(said);
  const [code, reason] = said.split(" ") as [string, string];
  const bytes = 2 + closing(Number(code), reason).length + (end.masks ? 4 : 0);
  expect(end.frames.length).toBe(before.length + bytes);
  expect(end.frames.subarray(0, before.length).equals(before)).toBe(true);
}

test.each(frameCases)("$from: $name", async ({ from, bytes, pass, fault, extended }) => {
  const { client, service } = extended
    ? await stage.open([extension], switchingText([extension]))
    : await stage.open([extension]);
  service.masks = true;
  const [sender, receiver] = from === "client" ? [client, service] : [service, client];
  sender.send(Buffer.concat(bytes));
  const wanted = Buffer.concat(bytes.slice(0, pass ?? bytes.length));
  if (fault === undefined) await receiver.gets(wanted);
  else {
    const said = `${codes[fault]} ${fault}`;
    await closed(receiver, wanted, said);
    await closed(sender, Buffer.alloc(0), said);
    await soon(() => client.ended && service.ended);
  }
  client.socket.destroy();
  service.socket.destroy();
});
