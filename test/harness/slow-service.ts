/** A service for the drain tests, in a process of its own: registers by the SDK, answers after 20 ms, `/slow` after 1 s. */
import { createServer } from "node:http";
import { register } from "@tocsin/sdk";

const instance = process.argv[2] ?? "users-1";
const server = createServer((request, response) => {
  const delayMs = request.url === "/health" ? 0 : request.url === "/slow" ? 1_000 : 20;
  setTimeout(
    () => response.writeHead(200, { "content-type": "text/plain" }).end(instance),
    delayMs,
  );
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
await register({ name: "users", instance, server, health: { path: "/health", interval: "500ms" } });
process.stdout.write("registered\n");
