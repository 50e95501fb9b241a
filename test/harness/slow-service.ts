/** A service for the drain tests, in a process of its own: registers by the SDK, answers after 20 ms, `/slow` after 1 s. */
import { createServer } from "node:http";
import { register } from "@tocsin/sdk";

const instance = process.argv[2] ?? "users-1";
const server = createServer((request, response) => {
  if (request.url === "/health") return void response.writeHead(200).end();
  setTimeout(() => response.writeHead(200, { "content-type": "text/plain" }).end(instance), request.url === "/slow" ? 1_000 : 20);
});
server.listen(0, "127.0.0.1", async () => {
  await register({ name: "users", instance, server, health: { path: "/health", interval: "500ms" } });
  process.stdout.write("registered\n");
});
