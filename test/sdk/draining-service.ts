/**
 * A service that registers itself and says so on standard output; the tests send it signals.
 * `/slow` answers after half a second. `KIND` is `http` or `fastify`; with `HANDLE` something else keeps the process alive.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import fastify from "fastify";
import { register, type ListeningServer } from "@tocsin/sdk";

const say = (event: object) => process.stdout.write(`${JSON.stringify(event)}\n`);
const slowMs = 500;

async function start(): Promise<ListeningServer | { server: ListeningServer }> {
  if (process.env["KIND"] === "fastify") {
    const app = fastify();
    app.get("/", () => "hello");
    app.get("/slow", async () => {
      say({ event: "slow" });
      await new Promise((resolve) => setTimeout(resolve, slowMs));
      return "done";
    });
    app.addHook("onClose", async () => void say({ event: "hook" }));
    await app.listen({ port: 0, host: "127.0.0.1" });
    return app;
  }
  const server = createServer((request, response) => {
    if (request.url === "/slow") {
      say({ event: "slow" });
      setTimeout(() => response.end("done"), slowMs);
    } else response.end("hello");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

const server = await start();
if (process.env["HANDLE"]) setInterval(() => {}, 1_000);
await register({
  name: "users",
  server,
  onState: ({ state }) => say({ event: "state", state }),
});
const plain = "server" in server ? server.server : server;
say({ event: "ready", port: (plain.address() as AddressInfo).port });
