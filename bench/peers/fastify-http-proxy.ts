/** @fastify/http-proxy with its own defaults and no logger: 128 connections to the upstream, kept alive, by undici. */
import proxy from "@fastify/http-proxy";
import fastify from "fastify";
import { announce, upstream } from "./listen.ts";

const app = fastify({ logger: false });
await app.register(proxy, { upstream });
announce(await app.listen({ host: "127.0.0.1", port: 0, backlog: 1024 }));
