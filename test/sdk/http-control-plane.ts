/**
 * The registration half of the admin API, over real HTTP.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createLeases, problem, type Leases, type SeenCall } from "./leases.ts";

export interface HttpControlPlane extends Leases, AsyncDisposable {
  readonly url: string;
}

export const testToken = "a-token-of-the-tests";

/** @param options.renew Default `50ms`, so that tests need not wait. */
export async function startHttpControlPlane(
  options: { port?: number; renew?: string } = {},
): Promise<HttpControlPlane> {
  const leases = createLeases(options.renew ?? "50ms");

  async function answer(request: IncomingMessage) {
    if (request.headers.authorization !== `Bearer ${testToken}`)
      return problem(401, "credential-missing", "A credential is required");
    const call = await callOf(request);
    return call === undefined ? problem(404, "not-found", "No such path") : leases.answer(call);
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const given = await answer(request);
    if (given === "hang" || given === undefined) return;
    const type = given.status >= 400 ? "application/problem+json" : "application/json";
    response.writeHead(given.status, { "content-type": type, connection: "close" });
    response.end(JSON.stringify(given.body));
  }

  const server = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  return Object.assign(leases, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

const verbs: Readonly<Record<string, SeenCall["verb"]>> = {
  "PUT ": "register",
  "POST /renew": "renew",
  "DELETE ": "deregister",
};

async function callOf(request: IncomingMessage): Promise<SeenCall | undefined> {
  const match = /^\/v1\/services\/([^/]+)\/instances\/([^/]+)(\/renew)?$/.exec(request.url ?? "");
  const verb = verbs[`${request.method} ${match?.[3] ?? ""}`];
  if (!match || verb === undefined) return undefined;
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  return {
    verb,
    service: match[1]!,
    instance: match[2]!,
    body: (text === "" ? {} : JSON.parse(text)) as SeenCall["body"],
  };
}
