// A service on node:http that puts itself into the gateway.
//
//   npx tocsin demo                           in one terminal
//   node examples/services/node-http.ts       in another; Ctrl-C drains it
//   npx tocsin services list                  shows it
import { once } from "node:events";
import { createServer } from "node:http";
import { register } from "@tocsin/sdk";

const server = createServer((request, response) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ hello: request.headers["x-user-id"] ?? "stranger" }));
});
server.listen(0, "127.0.0.1");
await once(server, "listening");

const registration = await register({ name: "greetings", server });
console.log(`${registration.service} is in the gateway as ${registration.instance}`);
