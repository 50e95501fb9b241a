import { createServer } from "node:http";
import type { ServerResponse } from "node:http";
import { messageOf, once } from "@tocsin/shared";
import type { Log } from "@tocsin/shared";
import { bind } from "../listener/bind.ts";
import type { BoundAddress } from "../listener/bind.ts";

/** One thing that must be so before a proxy takes traffic. */
export interface Check {
  readonly name: string;
  /** Why it is not so; undefined when it is. */
  reason(): string | undefined;
  /** What `?verbose` tells beside. */
  detail?(): string;
}

/** The text of `/metrics`, and its media type. */
export interface Scrape {
  readonly text: string;
  readonly type: string;
}

/** What probes tell. */
export interface ProbeContents {
  /** The process itself. Absent: it answers, so it lives. */
  readonly live?: readonly Check[];
  readonly ready: readonly Check[];
  readonly metrics: { scrape(): Promise<Scrape> };
  /** The JSON of `/status`, made when it is asked for. */
  readonly status: () => unknown;
}

export interface ProbesOptions extends ProbeContents {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly log: Log;
}

export interface Probes extends AsyncDisposable {
  readonly address: BoundAddress;
}

/**
 * `/livez`, `/readyz`, `/metrics`, `/status` on a port of their own, so that no route of the public listener can hide or show them.
 *
 * @throws Error that says which address could not be bound, and why
 */
export async function startProbes(options: ProbesOptions): Promise<Probes> {
  const server = createServer(
    { keepAliveTimeout: 75_000, headersTimeout: 10_000 },
    (request, response) => {
      if (request.method !== "GET" && request.method !== "HEAD") {
        response.setHeader("allow", "GET, HEAD");
        return send(response, 405, "text/plain; charset=utf-8", "method not allowed\n");
      }
      const [path = "", query = ""] = (request.url ?? "/").split("?", 2);
      answer(response, path, new URLSearchParams(query).has("verbose")).catch((error: unknown) => {
        options.log.error({ path, cause: messageOf(error) }, "probe failed");
        if (!response.headersSent) send(response, 500, "text/plain; charset=utf-8", "failed\n");
      });
    },
  );

  async function answer(response: ServerResponse, path: string, verbose: boolean): Promise<void> {
    switch (path) {
      case "/livez":
        return sendChecks(response, options.live ?? [], verbose);
      case "/readyz":
        return sendChecks(response, options.ready, verbose);
      case "/metrics": {
        const { text, type } = await options.metrics.scrape();
        return send(response, 200, type, text);
      }
      case "/status":
        return send(
          response,
          200,
          "application/json",
          `${JSON.stringify(await options.status(), null, 2)}\n`,
        );
      default:
        return send(response, 404, "text/plain; charset=utf-8", "not found\n");
    }
  }

  const address = await bind(server, options.host, options.port);
  return {
    address,
    [Symbol.asyncDispose]: once(async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    }),
  };
}

/** 200 when everything is so, else 503 with the reasons. `verbose` lists what is so, too. */
function sendChecks(response: ServerResponse, checks: readonly Check[], verbose: boolean): void {
  const results = checks.map((check) => ({
    name: check.name,
    reason: check.reason(),
    detail: verbose ? check.detail?.() : undefined,
  }));
  const failed = results.filter(({ reason }) => reason !== undefined);
  const lines = (verbose ? results : failed).map(({ name, reason, detail }) =>
    reason === undefined
      ? `[+] ${name} ok${detail === undefined ? "" : `, ${detail}`}`
      : `[-] ${name}: ${reason}`,
  );
  lines.push(failed.length === 0 ? "ok" : "not ok", "");
  send(response, failed.length === 0 ? 200 : 503, "text/plain; charset=utf-8", lines.join("\n"));
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
  });
  // HEAD: Node leaves the body out.
  response.end(text);
}
