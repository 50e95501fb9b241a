/**
 * A service in a process of its own that fails on demand. Says `{"port":…,"control":…}`, then obeys its control port:
 * `/mode/NAME` (well, 500, silent, refusing) and `/count` (requests since it was asked last, probes left out).
 */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const name = process.argv[2] ?? "one";
let mode = "well";
let count = 0;

const server = createServer((request, response) => {
  const probe = request.url === "/health";
  if (!probe) count += 1;
  request.resume();
  if (mode === "silent") return;
  const status = mode === "500" && !probe ? 500 : 200;
  response.writeHead(status, { "content-type": "text/plain" }).end(name);
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const { port } = server.address() as AddressInfo;

async function become(next: string): Promise<void> {
  if (mode === "refusing" && next !== "refusing")
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  if (next === "refusing" && mode !== "refusing") {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }
  // Who waited in silence waits no more.
  if (mode === "silent") server.closeAllConnections();
  mode = next;
}

const control = createServer((request, response: ServerResponse) => {
  const [, verb, argument = ""] = (request.url ?? "/").split("/");
  if (verb === "count") {
    response.end(String(count));
    count = 0;
  } else void become(argument).then(() => response.end(mode));
});
await new Promise<void>((resolve) => control.listen(0, "127.0.0.1", resolve));
process.stdout.write(
  `${JSON.stringify({ port, control: (control.address() as AddressInfo).port })}\n`,
);
