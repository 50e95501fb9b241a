import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { mkdtempSync } from "node:fs";
import { expect, test } from "vitest";
import { isLoopback, urlOf } from "./address.ts";

const never = new AbortController().signal;
const outward = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ internal, family }) => !internal && family === "IPv4")?.address;

test.each([
  ["localhost", true],
  ["tocsin.localhost", true],
  ["127.0.0.1", true],
  ["127.255.1.2", true],
  ["[::1]", true],
  ["127.0.0.1.example.org", false],
  ["10.0.0.1", false],
  ["localhost.example.org", false],
])("%s is this machine: %s", (host, expected) => {
  expect(isLoopback(host)).toBe(expected);
});

test.skipIf(outward === undefined)(
  "a server on all addresses is announced by the interface that leads to the control plane",
  async () => {
    const server = createServer().listen(0, "0.0.0.0");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    // This machine's own address stands for a control plane elsewhere: the way there begins at it.
    expect(await urlOf(server, undefined, { host: outward!, port: 7070 }, never)).toBe(
      `http://${outward}:${port}`,
    );
    server.close();
  },
);

test("a server of node:https is announced as https", async () => {
  const server = createSecureServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  expect(await urlOf(server, undefined, { host: "127.0.0.1", port: 7070 }, never)).toBe(
    `https://127.0.0.1:${port}`,
  );
  server.close();
});

test("a server on a path of the file system cannot be reached by a gateway, and is told so", async () => {
  const path = join(mkdtempSync(join(tmpdir(), "tocsin-sdk-")), "service.sock");
  const server = createServer().listen(path);
  await once(server, "listening");
  await expect(urlOf(server, undefined, { host: "127.0.0.1", port: 7070 }, never)).rejects.toThrow(
    /listens on .*service\.sock.*give url instead/,
  );
  server.close();
});

test("a port that is taken is told by the error of the server", async () => {
  const first = createServer().listen(0, "127.0.0.1");
  await once(first, "listening");
  const second = createServer();
  const announced = urlOf(second, undefined, { host: "127.0.0.1", port: 7070 }, never);
  second.listen((first.address() as AddressInfo).port, "127.0.0.1");
  await expect(announced).rejects.toThrow(/EADDRINUSE/);
  first.close();
});
