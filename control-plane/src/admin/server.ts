/** The admin API over HTTP: Fastify here and nowhere else. */
import { randomUUID } from "node:crypto";
import {
  messageOf,
  once,
  problemMediaType,
  problemType,
  type Log,
  type Secret,
} from "@tocsin/shared";
import { fastify, type FastifyReply, type FastifyRequest } from "fastify";
import { declinedOf } from "../declined-of.ts";
import { Declined } from "../problem.ts";
import { createGuard } from "./guard.ts";
import { openApi } from "./openapi.ts";
import { answerNotHttp } from "./not-http.ts";
import { operations, type AdminParts, type Operation } from "./operations.ts";
import { checkParameters, type Query } from "./query.ts";
import { createTrail, type RouteConfig } from "./trail.ts";

export interface AdminOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly token: Secret;
  readonly version: string;
  readonly parts: AdminParts;
  /** Why this node should not be used; undefined: it is ready. */
  readonly notReady: () => string | undefined;
  readonly metrics: () => Promise<{ readonly text: string; readonly type: string }>;
  readonly log: Log;
}

export interface Admin extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
}

/** The largest body, in bytes: a config of 10,000 routes fits. */
const bodyLimit = 2 * 1024 * 1024;

/** Paths of the interface whose parts come later: told apart from typing errors. */
const later = ["/v1/events", "/v1/config/revisions", "/v1/config/rollback"];

/** Paths that tell nothing but whether this process is well: no token. */
const open = new Set(["/livez", "/readyz"]);

export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const { log, version } = options;
  const guard = createGuard(options.token, options.host);
  const trail = createTrail(options.parts.audit, guard.fingerprint);
  const app = fastify({
    bodyLimit,
    genReqId: () => randomUUID(),
    forceCloseConnections: "idle",
    exposeHeadRoutes: true,
    clientErrorHandler: answerNotHttp,
    // Paths that no route is looked up for. They come before any hook, and tell the same to everybody.
    frameworkErrors(error, request, reply) {
      void reply.header("x-request-id", request.id).header("cache-control", "no-store");
      const isLong = error.statusCode === 414;
      const declined = isLong
        ? new Declined(414, "uri-too-long", "A part of the path is longer than any name")
        : new Declined(400, "bad-request", "The path cannot be decoded");
      trail.of(request).declined = declined;
      // No hook runs behind this one either.
      void trail.end(request, declined.status);
      return void sendProblem(request, reply, declined);
    },
  });

  // Bodies are read by the schemas of the contract, whatever they call themselves; a config may be YAML.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "string" }, (_request, body, done) => done(null, body));

  app.addHook("onRequest", (request, reply, done) => {
    reply.header("x-request-id", request.id).header("cache-control", "no-store");
    guard.checkHost(request.headers.host);
    if (!open.has(request.url.split("?", 1)[0]!)) {
      guard.admit(request.headers.authorization);
      trail.of(request).admitted = true;
    }
    done();
  });
  app.addHook("onSend", async (request, reply, payload) => {
    await trail.end(request, reply.statusCode);
    return payload;
  });
  const refuse = (request: FastifyRequest, reply: FastifyReply, declined: Declined) => {
    trail.of(request).declined = declined;
    return sendProblem(request, reply, declined);
  };
  app.setErrorHandler((error, request, reply) => {
    const declined = fromFastify(error) ?? declinedOf(error);
    if (declined.status >= 500)
      log.error(
        {
          request_id: request.id,
          method: request.method,
          path: request.url,
          cause: messageOf(declined.cause ?? error),
        },
        "admin request failed",
      );
    return refuse(request, reply, declined);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?", 1)[0]!;
    const allowed = operations
      .filter((operation) => matches(operation.path, path))
      .flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method]));
    if (later.some((prefix) => path === prefix || path.startsWith(`${prefix}/`)))
      return refuse(
        request,
        reply,
        new Declined(501, "not-supported-yet", "This version does not do that yet", {
          detail: path,
        }),
      );
    if (allowed.length === 0)
      return refuse(
        request,
        reply,
        new Declined(404, "not-found", "There is nothing at this path", { detail: path }),
      );
    void reply.header("allow", allowed.join(", "));
    return refuse(
      request,
      reply,
      new Declined(405, "method-not-allowed", "This path does not take this method", {
        detail: `allowed: ${allowed.join(", ")}`,
      }),
    );
  });

  for (const operation of operations) {
    app.route({
      method: operation.method,
      url: operation.path.replaceAll(/\{(\w+)\}/g, ":$1"),
      ...(operation.bodyLimit === undefined ? {} : { bodyLimit: operation.bodyLimit }),
      config: { operation } satisfies RouteConfig,
      handler: (request, reply) => carryOut(operation, request, reply),
    });
  }
  app.get("/openapi.json", () => openApi(version));
  app.get("/livez", (_request, reply) => reply.type("text/plain").send("ok\n"));
  app.get("/readyz", (_request, reply) => {
    const reason = options.notReady();
    return reply
      .code(reason === undefined ? 200 : 503)
      .type("text/plain")
      .send(reason === undefined ? "ok\n" : `${reason}\n`);
  });
  app.get("/metrics", async (_request, reply) => {
    const { text, type } = await options.metrics();
    return reply.header("content-type", type).send(text);
  });

  async function carryOut(
    operation: Operation,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    const notes = trail.of(request);
    const query = request.query as Query;
    checkParameters(query, [
      ...(operation.waits ? ["wait"] : []),
      ...(operation.tries ? ["dryRun"] : []),
      ...(operation.pages ? ["limit", "after"] : []),
      ...Object.keys(operation.asks ?? {}),
    ]);
    const { status, body, headers } = await operation.run(
      {
        params: request.params as Record<string, string>,
        query,
        header: (name) => {
          const value = request.headers[name];
          return Array.isArray(value) ? value.join(", ") : value;
        },
        body: typeof request.body === "string" ? request.body : "",
        about(target, reason) {
          notes.target = { ...notes.target, ...target };
          if (reason !== undefined) notes.reason = reason;
        },
      },
      options.parts,
    );
    notes.answer = body;
    return reply
      .code(status)
      .headers(headers ?? {})
      .send(body);
  }

  try {
    await app.listen({ host: options.host, port: options.port });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why = code === "EADDRINUSE" ? "the port is taken" : messageOf(error);
    throw new Error(
      `cannot listen on ${options.host}:${options.port} (TOCSIN_ADMIN_LISTEN): ${why}`,
      { cause: error },
    );
  }
  const address = app.server.address();
  return {
    host: options.host,
    port: typeof address === "object" && address !== null ? address.port : options.port,
    [Symbol.asyncDispose]: once(async () => {
      app.server.closeIdleConnections();
      await app.close();
    }),
  };
}

function sendProblem(
  request: FastifyRequest,
  reply: FastifyReply,
  declined: Declined,
): FastifyReply {
  const { code, title, status, detail, errors, operation } = declined;
  if (status === 401) void reply.header("www-authenticate", 'Bearer realm="tocsin-admin"');
  return (
    reply
      .code(status)
      .header("content-type", problemMediaType)
      // As bytes: Fastify adds a charset to texts, which this media type does not have.
      .send(
        Buffer.from(
          JSON.stringify({
            type: problemType(code),
            title,
            status,
            code,
            ...(detail === undefined ? {} : { detail }),
            instance: request.id,
            ...(errors === undefined ? {} : { errors }),
            ...(operation === undefined ? {} : { operation }),
          }),
        ),
      )
  );
}

/** Fastify's own refusals: a body that is too large, a URL that cannot be decoded. */
function fromFastify(error: unknown): Declined | undefined {
  const { statusCode, message } = error as { statusCode?: number; message?: string };
  if (
    error instanceof Declined ||
    statusCode === undefined ||
    statusCode < 400 ||
    statusCode >= 500
  )
    return undefined;
  const codes: Readonly<Record<number, string>> = {
    413: "body-too-large",
    414: "uri-too-long",
    415: "unsupported-media-type",
  };
  return new Declined(
    statusCode,
    codes[statusCode] ?? "bad-request",
    message ?? "The request is malformed",
  );
}

function matches(pattern: string, path: string): boolean {
  const parts = pattern.split("/");
  const found = path.split("/");
  return (
    parts.length === found.length &&
    parts.every((part, index) => part.startsWith("{") || part === found[index])
  );
}
