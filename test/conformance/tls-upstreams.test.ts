/** Instances behind TLS: the name in the URL counts, the certificate must be valid, and nothing is sent before both are known. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  codeOf,
  get,
  instanceAt,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "../../proxy/src/listener/gateway.fixture.ts";
import { createAuthority } from "../security/certificates.ts";
import type { Pair } from "../security/certificates.ts";

const directory = mkdtempSync(join(tmpdir(), "tocsin-tls-"));
const trusted = createAuthority(directory, "trusted");
const stranger = createAuthority(directory, "stranger");
const known = getCACertificates("default");
beforeAll(() => setDefaultCACertificates([...known, readFileSync(trusted.certificate, "utf8")]));
afterAll(() => {
  setDefaultCACertificates(known);
  rmSync(directory, { recursive: true });
});

interface TlsOrigin extends AsyncDisposable {
  readonly port: number;
  /** Names that clients asked for (SNI), and the fields of requests that came. */
  readonly seen: { readonly server: string | false; readonly host: string | undefined }[];
  readonly connections: () => number;
}

async function startTls({ certificate, key }: Pair): Promise<TlsOrigin> {
  const seen: TlsOrigin["seen"] = [];
  let connections = 0;
  const server = createServer(
    { cert: readFileSync(certificate), key: readFileSync(key) },
    (request, response) => {
      seen.push({
        server: (request.socket as unknown as { servername?: string }).servername ?? false,
        host: request.headers.host,
      });
      response.end("ok");
    },
  );
  server.on("secureConnection", () => (connections += 1));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const gatewayTo = (port: number, host: string) =>
  startTestGateway({
    to: [instanceAt(port, { url: `https://${host}:${port}`, address: "127.0.0.1" })],
  });

test("the name of the URL is asked for and checked, the address that was registered is connected to, and connections are kept", async () => {
  await using origin = await startTls(trusted.issue("good", { names: "DNS:shop.test" }));
  await using gateway = await gatewayTo(origin.port, "shop.test");
  for (let count = 0; count < 3; count += 1) expect(statusOf(await get(gateway.port))).toBe(200);
  expect(origin.seen).toHaveLength(3);
  expect(origin.seen[0]).toEqual({ server: "shop.test", host: `shop.test:${origin.port}` });
  expect(origin.connections()).toBe(1);
});

test("an address in the URL is checked as one", async () => {
  await using origin = await startTls(trusted.issue("address", { names: "IP:127.0.0.1" }));
  await using gateway = await gatewayTo(origin.port, "127.0.0.1");
  expect(statusOf(await get(gateway.port))).toBe(200);
});

test.each([
  ["for another name", () => trusted.issue("other", { names: "DNS:elsewhere.test" })],
  ["of an authority that nobody trusts", () => stranger.issue("evil", { names: "DNS:shop.test" })],
  ["that has expired", () => trusted.issue("old", { names: "DNS:shop.test", days: -1 })],
])("a certificate %s is a 502, and no request is sent", async (_name, issue) => {
  await using origin = await startTls(issue());
  await using gateway = await gatewayTo(origin.port, "shop.test");
  const answer = await get(gateway.port);
  expect([statusOf(answer), codeOf(answer)]).toEqual([502, "upstream-failed"]);
  expect(answer).not.toMatch(/certificate|shop\.test/i);
  expect(origin.seen).toEqual([]);
});

test("a plain server behind an https URL is a 502", async () => {
  await using origin = await startRawOrigin(({ socket }) =>
    socket.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
  );
  await using gateway = await gatewayTo(origin.port, "shop.test");
  expect(statusOf(await get(gateway.port))).toBe(502);
  expect(origin.received()).not.toMatch(/GET/);
});
