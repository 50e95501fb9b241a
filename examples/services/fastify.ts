// A service on Fastify. Its own log takes the SDK's lines; draining calls `app.close()`, so its onClose hooks run.
//
//   node examples/services/fastify.ts
import fastify from "fastify";
import { register } from "@tocsin/sdk";

const app = fastify({ logger: true });
app.get("/health", () => ({ status: "ok" }));
app.get("/*", (request) => ({ path: request.url, user: request.headers["x-user-id"] ?? null }));
await app.listen({ port: 0, host: "127.0.0.1" });

await register({ name: "things", server: app, health: "/health", version: "1.0.0", log: app.log });
