/** A service that knows who is a user: what `identity.users` asks. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface UserService extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** By subject, what is answered. Of whom is not in it: 404. */
  readonly users: Map<string, unknown>;
  /** The targets of the questions, as they stood on the wire. */
  readonly asked: string[];
  /** Answers in place of the usual; undefined: the usual. */
  behave: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  /** Answers what is asked from now on when it is let go. */
  hold(): { readonly release: () => void };
  /** The process is gone: connections are reset, new ones refused. */
  stop(): Promise<void>;
  /** It is back, on the same port. */
  start(): Promise<void>;
}

const prefix = "/internal/users/";

export async function startUserService(): Promise<UserService> {
  const users = new Map<string, unknown>();
  const asked: string[] = [];
  let held: Promise<void> | undefined;
  let server: Server | undefined;
  let port = 0;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = request.url ?? "";
    asked.push(target);
    // Decided when it is asked, however late it is told.
    const subject = decodeURIComponent(target.slice(prefix.length));
    const found = target.startsWith(prefix) ? users.get(subject) : undefined;
    const { behave } = service;
    await held;
    if (behave !== undefined) return behave(request, response);
    response.statusCode = found === undefined ? 404 : 200;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(found ?? {}));
  }

  const service: UserService = {
    get port() {
      return port;
    },
    get url() {
      return `http://127.0.0.1:${port}`;
    },
    users,
    asked,
    behave: undefined,
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return {
        release() {
          if (held === promise) held = undefined;
          resolve();
        },
      };
    },
    async start() {
      const made = createServer((request, response) => void answer(request, response));
      server = made;
      await new Promise<void>((resolve, reject) => {
        made.once("error", reject);
        made.listen(port, "127.0.0.1", resolve);
      });
      ({ port } = made.address() as AddressInfo);
    },
    async stop() {
      const open = server;
      server = undefined;
      if (open === undefined) return;
      const closed = new Promise((resolve) => open.close(resolve));
      open.closeAllConnections();
      await closed;
    },
    async [Symbol.asyncDispose]() {
      await service.stop();
    },
  };
  await service.start();
  return service;
}
