/**
 * A demo service: a plain node:http server that registers itself. `node service.ts users`
 *
 * It answers with what it saw, so that the identity headers of the gateway can be looked at.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { register } from "@tocsin/sdk";

const [, , name = "users", instance] = process.argv;

type Answer = (request: IncomingMessage) => { status: number; body: object };

const answers: Readonly<Record<string, Answer>> = {
  users: (request) => ({
    status: 200,
    body: {
      id: request.url?.split("/")[3] ?? null,
      name: "Ada Lovelace",
      asked: {
        by: request.headers["x-user-id"] ?? null,
        roles: request.headers["x-user-roles"] ?? null,
      },
    },
  }),
  content: (request) => ({
    status: 200,
    body: { hello: "world", path: request.url, request: request.headers["x-request-id"] ?? null },
  }),
  payments: (request) => ({
    status: 200,
    body: { balance: "12.50 EUR", of: request.headers["x-user-id"] ?? null },
  }),
};

const answer = answers[name];
if (!answer) {
  process.stderr.write(
    `no demo service is called ${name}; there are ${Object.keys(answers).join(", ")}\n`,
  );
  process.exit(64);
}

const server = createServer((request: IncomingMessage, response: ServerResponse) => {
  const { status, body } =
    request.url === "/health" ? { status: 200, body: { status: "ok" } } : answer(request);
  request.resume();
  response.writeHead(status, { "content-type": "application/json" });
  response.end(
    `${JSON.stringify({ service: name, instance: registered, process: process.pid, ...body })}\n`,
  );
});
let registered = instance;

server.listen(0, process.env["TOCSIN_NATS_URL"] ? "0.0.0.0" : "127.0.0.1", () => void start());

async function start(): Promise<void> {
  const registration = await register({
    name,
    server,
    health: { path: "/health", interval: "1s" },
    ...(instance ? { instance } : {}),
  });
  registered = registration.instance;
  // The demo's parent waits for this; elsewhere nobody listens.
  process.send?.({ registered: name, port: (server.address() as AddressInfo).port });
}

// A child of the demo ends with it.
process.on("disconnect", () => process.exit(0));
