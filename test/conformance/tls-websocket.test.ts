/** WebSockets to instances behind TLS. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { instanceAt, soon } from "../../proxy/src/listener/gateway.fixture.ts";
import {
  End,
  lastClose,
  startStage,
  switchingText,
} from "../../proxy/src/listener/websocket.fixture.ts";
import { frame, plainFrame } from "../../proxy/src/websocket/frames.fixture.ts";
import { goingAway } from "../../proxy/src/streams/streams.ts";
import { createAuthority } from "../security/certificates.ts";

const directory = mkdtempSync(join(tmpdir(), "tocsin-tls-"));
const authority = createAuthority(directory, "trusted");
const known = getCACertificates("default");
beforeAll(() => setDefaultCACertificates([...known, readFileSync(authority.certificate, "utf8")]));
afterAll(() => {
  setDefaultCACertificates(known);
  rmSync(directory, { recursive: true });
});

/** Both ends of a WebSocket whose service is behind TLS. */
async function open(stack: AsyncDisposableStack) {
  const { certificate, key } = authority.issue("good", { names: "DNS:shop.test" });
  let end: End | undefined;
  const server = createServer(
    { cert: readFileSync(certificate), key: readFileSync(key), allowHalfOpen: true },
    (socket) => (end = new End(socket)),
  );
  stack.defer(async () => {
    end?.socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const stage = stack.use(await startStage());
  stage.gateway.setInstances(
    instanceAt(port, { url: `https://shop.test:${port}`, address: "127.0.0.1" }),
  );
  const client = stage.client();
  const service = await soon(() => end);
  await soon(() => service.head !== "");
  service.send(Buffer.concat([Buffer.from(switchingText()), plainFrame("first")]));
  await client.gets(plainFrame("first"));
  return { stage, client, service };
}

test("bytes pass both ways, and the end is said to both sides", async () => {
  await using stack = new AsyncDisposableStack();
  const { stage, client, service } = await open(stack);
  expect(service.head).toContain("Host: shop.test:");
  const up = frame("x".repeat(1_000_000), { opcode: 2 });
  client.send(up);
  await service.gets(up);
  void stage.gateway.streams.closeAll(goingAway, 0);
  await soon(() => client.ended && service.ended);
  expect(lastClose(client.frames)).toBe("1001 shutdown");
  expect(lastClose(service.frames)).toBe("1001 shutdown");
});

test.each(["client", "service"])("a %s that vanishes is no end as it should be", async (who) => {
  await using stack = new AsyncDisposableStack();
  const { stage, client, service } = await open(stack);
  const [gone, other] = who === "client" ? [client, service] : [service, client];
  gone.socket.destroy();
  await soon(() => other.closed || other.ended);
  await soon(() => stage.gateway.streams.size === 0);
  expect(lastClose(other.frames)).toBeUndefined();
  await soon(() => stage.gateway.listener.active === 0);
});
