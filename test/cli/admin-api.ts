/**
 * The admin API as the command line sees it: a real HTTP server whose answers a test writes down.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export const adminToken = "a-token-of-the-tests";

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly type: string | undefined;
  readonly accept: string | undefined;
  readonly ifMatch: string | undefined;
  readonly idempotencyKey: string | undefined;
  readonly body: string;
}

export interface Told {
  readonly status?: number;
  readonly type?: string;
  /** Text as it is, anything else as JSON. */
  readonly body: unknown;
}

export interface AdminApi extends AsyncDisposable {
  readonly url: string;
  readonly asked: readonly Asked[];
  /** By `METHOD /path`, without the query. */
  readonly answers: Record<string, Told | ((asked: Asked) => Told | Promise<Told>)>;
  /** Variables that lead a command here. */
  readonly environment: Readonly<Record<string, string>>;
}

export async function startAdminApi(): Promise<AdminApi> {
  const asked: Asked[] = [];
  const answers: AdminApi["answers"] = {};

  async function answer(request: IncomingMessage): Promise<Told> {
    if (request.headers.authorization !== `Bearer ${adminToken}`)
      return problem(401, "credential-missing", "A credential is required");
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = "", url: path = "", headers } = request;
    const one: Asked = {
      method,
      path,
      type: headers["content-type"],
      accept: headers.accept,
      ifMatch: headers["if-match"],
      idempotencyKey: headers["idempotency-key"] as string | undefined,
      body: Buffer.concat(chunks).toString("utf8"),
    };
    asked.push(one);
    const told = answers[`${method} ${path.split("?")[0]}`];
    if (told === undefined) return problem(404, "route-not-found", "No such path");
    return typeof told === "function" ? told(one) : told;
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status = 200, type = "application/json", body } = await answer(request);
    response.writeHead(status, { "content-type": type });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  }

  const server = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    asked,
    answers,
    environment: { TOCSIN_ADMIN_URL: url, TOCSIN_ADMIN_TOKEN: adminToken },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function problem(
  status: number,
  code: string,
  title: string,
  more: { detail?: string; errors?: readonly object[] } = {},
): Told {
  const body = { type: `urn:tocsin:problem:${code}`, title, status, code, ...more };
  return { status, type: "application/problem+json", body };
}
