/**
 * What becomes of a request, without sending it to anybody: it takes its way through the listener and the router themselves, on a
 * loopback port of its own, up to where it would be identified.
 */
import { connect } from "node:net";
import { problemOf, Refusal, silentLog, systemClock } from "@tocsin/shared";
import type { Milliseconds, Problem } from "@tocsin/shared";
import type { Config } from "@tocsin/shared/contract";
import { gateOf } from "../pipeline/assemble.ts";
import type { Exchange, Received } from "../pipeline/exchange.ts";
import { Pipeline } from "../pipeline/pipeline.ts";
import { autoRoutesOf, serviceIn } from "../routing/auto-routes.ts";
import type { Asked } from "../routing/conditions.ts";
import { explain as explainRoutes } from "../routing/explain.ts";
import type { Verdict } from "../routing/explain.ts";
import { JsonBody } from "../routing/json-body.ts";
import { isJson } from "../routing/media-type.ts";
import type { Route } from "../routing/route.ts";
import { createRouter } from "../routing/router.ts";
import { explain } from "../stages/explain.ts";
import { match } from "../stages/match.ts";
import { startListener } from "./listener.ts";

/** A request as it would go over a connection. */
export interface RehearsedRequest {
  readonly method: string;
  /** As it stands in the request line; nothing is repaired. */
  readonly target: string;
  /** Names and values in turn, `Host` and the framing of the body among them. */
  readonly fields: readonly string[];
  readonly body: Uint8Array;
}

/** What became of it, and why. */
export interface Rehearsal {
  /** The route that takes it. */
  readonly route: Route | undefined;
  /** What the client would get instead. */
  readonly refusal: (Pick<Problem, "status" | "title" | "code" | "detail"> & Allowed) | undefined;
  /** The path as it is matched and sent; undefined: the request was refused before. */
  readonly path: string | undefined;
  /** Other readings of the path, with the written route of each. All must come to the same route. */
  readonly readings: readonly { readonly path: string; readonly route: string | undefined }[];
  /** The routes whose path fits, in the order in which they are tried. */
  readonly verdicts: readonly Verdict[];
  /** The service that the path of an automatic route names. */
  readonly automatic: { readonly service: string; readonly known: boolean } | undefined;
}

interface Allowed {
  /** The methods of a 405. */
  readonly allow: string | undefined;
}

/** Nothing is waited for longer: the request comes in one piece, from this very process. */
const patienceMs: Milliseconds = 1_000;

/** @param services names of the services that instances are known of */
export async function rehearse(
  config: Config,
  services: readonly string[],
  request: RehearsedRequest,
): Promise<Rehearsal> {
  const known = { of: (service: string) => (services.includes(service) ? [] : undefined) };
  const router = createRouter(config, () => known);
  let exchange: Exchange | undefined;
  let thrown: unknown;
  const handle = Pipeline.from<Received>()
    .through(explain(silentLog))
    .through(async (received, next) => {
      try {
        return await next(received);
      } catch (error) {
        thrown = error;
        throw error;
      }
    })
    .through(match(router, config.listen.limits.matchBody))
    .into(() => Promise.resolve({ status: 204, headers: [], body: undefined }));
  const gate = gateOf(config, (received) => {
    exchange ??= received;
    return handle(received);
  });
  await using listener = await startListener({
    host: "127.0.0.1",
    port: 0,
    gate: () => ({
      ...gate,
      limits: {
        ...gate.limits,
        headersTimeoutMs: patienceMs,
        bodyTimeoutMs: patienceMs,
        connectionsPerAddress: Infinity,
      },
    }),
    clock: systemClock,
    log: silentLog,
    metrics: {
      connectionOpened() {},
      connectionClosed() {},
      recordUnreadable() {},
      connectionRefused() {},
    },
    keepAliveMs: patienceMs,
  });
  const answer = await converse(listener.address.port, request);
  const refusal =
    exchange?.route !== undefined
      ? undefined
      : thrown instanceof Refusal
        ? refusalOf(thrown)
        : refusalIn(answer);
  const unrouted = exchange?.fault !== undefined || refusal?.code === "host-not-allowed";
  if (exchange === undefined || unrouted)
    return {
      route: undefined,
      refusal,
      path: undefined,
      readings: [],
      verdicts: [],
      automatic: undefined,
    };
  return {
    route: exchange.route,
    refusal,
    ...why(config, services, exchange, exchange.bytes ?? request.body),
  };
}

function why(
  config: Config,
  services: readonly string[],
  { path, method, variants = [], head, target }: Exchange,
  bytes: Uint8Array,
): Pick<Rehearsal, "path" | "readings" | "verdicts" | "automatic"> {
  const asked: Asked = {
    host: head.host!,
    fields: head.passing,
    target,
    body: bodyOf(head.passing, bytes),
  };
  const verdicts = explainRoutes(config, path, method, asked);
  const readings = variants.map((variant) => ({
    path: variant,
    route: explainRoutes(config, variant, method, asked).find(({ taken }) => taken)?.route.id,
  }));
  const auto = autoRoutesOf(config);
  const service = auto === undefined ? "" : serviceIn(auto, path);
  const automatic = service === "" ? undefined : { service, known: services.includes(service) };
  return { path, readings, verdicts, automatic };
}

/** For the explanation also what the router had no reason to read, or refused. */
function bodyOf(fields: readonly string[], bytes: Uint8Array): JsonBody | undefined {
  try {
    return bytes.length > 0 && isJson(fields) ? new JsonBody(bytes) : undefined;
  } catch {
    return undefined;
  }
}

/** Sends the request on a connection of its own. @returns all that comes back */
function converse(port: number, request: RehearsedRequest): Promise<string> {
  const { method, target, fields, body } = request;
  const lines = [`${method} ${target} HTTP/1.1`];
  for (let index = 0; index + 1 < fields.length; index += 2)
    lines.push(`${fields[index]}: ${fields[index + 1]}`);
  // What the request says itself about its connection counts; then it is closed when it was idle for a moment.
  if (!fields.some((name, index) => index % 2 === 0 && name.toLowerCase() === "connection"))
    lines.push("Connection: close");
  lines.push("", "");
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => {
      socket.write(lines.join("\r\n"));
      socket.write(body);
    });
    socket.on("data", (bytes) => (answer += bytes.toString("utf8")));
    // A connection that is cut after the answer has given it all the same.
    socket.on("close", () => {
      if (answer === "") reject(new Error("the request was cut off without an answer"));
      else resolve(answer);
    });
    socket.on("error", () => {});
  });
}

function refusalOf(refusal: Refusal): NonNullable<Rehearsal["refusal"]> {
  const { status, title, code, detail } = problemOf(refusal, "");
  return { status, title, code, detail, allow: refusal.headers?.["allow"] };
}

/** Of a request that no stage has seen. */
function refusalIn(answer: string): NonNullable<Rehearsal["refusal"]> {
  const end = answer.lastIndexOf("\r\n\r\n");
  const { status, title, code, detail } = JSON.parse(answer.slice(end + 4)) as Problem;
  const allow = /^allow: (.*)$/im.exec(answer.slice(0, end))?.[1];
  return { status, title, code, detail, allow };
}
