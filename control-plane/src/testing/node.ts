/** A control-plane node for tests: the real one, over real HTTP, with a log that can be read. */
import { request as httpRequest } from "node:http";
import { Secret, silentLog, systemClock, systemRandom, type Clock, type Log } from "@tocsin/shared";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import type { Bus } from "@tocsin/shared/bus";
import type { Journals, Ledger } from "@tocsin/shared/journal";
import type { SessionStore } from "@tocsin/shared/sessions";
import { startControlPlane } from "../control-plane.ts";

export const adminToken = "0123456789abcdef0123456789abcdef";

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  json(): Record<string, unknown> & {
    readonly errors?: readonly { readonly pointer: string; readonly message: string }[];
  };
}

export interface TestNode extends AsyncDisposable {
  /** Headers are sent as they are: those of `fetch` forbid some. */
  call(
    method: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer>;
  readonly adminUrl: string;
  /** What was logged, oldest first. */
  readonly lines: readonly Readonly<Record<string, unknown>>[];
}

export interface TestNodeOptions {
  /** Default `control-plane-1`. */
  readonly node?: string;
  readonly source?: string;
  /** Looks at instances. Default: over the network. */
  readonly probe?: Parameters<typeof startControlPlane>[0]["probe"];
  /** The clock of the node, not of its bus and journals. Default: the system's. */
  readonly clock?: Clock;
  /** Default: embedded ones of its own. */
  readonly store?: { readonly bus: Bus; readonly journals: Journals; readonly audit?: Ledger };
  /** Where sessions are kept. Default: nowhere. */
  readonly sessions?: SessionStore;
  /** Puts something between the node and its journals. */
  readonly journals?: (real: Journals) => Journals;
  /** The same for its audit. */
  readonly audit?: (real: Ledger | undefined) => Ledger | undefined;
}

export async function startTestNode(options: TestNodeOptions = {}): Promise<TestNode> {
  await using stack = new AsyncDisposableStack();
  const lines: Record<string, unknown>[] = [];
  const log = recording(lines);
  const { bus, journals, audit } = options.store ?? (await embedded(stack));
  const controlPlane = stack.use(
    await startControlPlane({
      node: options.node ?? "control-plane-1",
      version: "1.2.3",
      bus,
      journals: options.journals?.(journals) ?? journals,
      audit: options.audit === undefined ? audit : options.audit(audit),
      clock: options.clock ?? systemClock,
      random: systemRandom,
      log,
      admin: { host: "127.0.0.1", port: 0, token: new Secret(adminToken) },
      environment: {},
      sessions: options.sessions,
      ...(options.probe === undefined ? {} : { probe: options.probe }),
      ...(options.source === undefined ? {} : { config: { source: options.source, name: "test" } }),
    }),
  );
  const owned = stack.move();
  return {
    lines,
    adminUrl: controlPlane.adminUrl,
    call: (method, path, body, headers = {}) =>
      new Promise((resolve, reject) => {
        const text =
          typeof body === "string" ? body : body === undefined ? "" : JSON.stringify(body);
        const sent = httpRequest(
          new URL(path, controlPlane.adminUrl),
          {
            method,
            agent: false,
            headers: {
              authorization: `Bearer ${adminToken}`,
              "content-length": Buffer.byteLength(text),
              ...headers,
            },
          },
          (response) => {
            let answer = "";
            response.setEncoding("utf8");
            response.on("data", (part: string) => (answer += part));
            response.on("error", reject);
            response.on("end", () =>
              resolve({
                status: response.statusCode ?? 0,
                text: answer,
                headers: response.headers,
                json: () => JSON.parse(answer) as ReturnType<Answer["json"]>,
              }),
            );
          },
        );
        sent.on("error", reject);
        sent.end(text);
      }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function embedded(stack: AsyncDisposableStack) {
  const bus = stack.use(createEmbeddedBus());
  const store = stack.use(await openEmbeddedStore(":memory:", { bus, clock: systemClock }));
  return { bus, journals: store.journals, audit: store.audit };
}

function recording(lines: Record<string, unknown>[]): Log {
  const add = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, message, ...fields });
  return {
    ...silentLog,
    debug: add("debug"),
    info: add("info"),
    warn: add("warn"),
    error: add("error"),
    child: () => recording(lines),
  };
}
