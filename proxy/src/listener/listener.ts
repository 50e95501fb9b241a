import { createServer, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { Aborted, messageOf, once, Refusal, refusals, systemRandom } from "@tocsin/shared";
import type { Clock, Log, Milliseconds, Random } from "@tocsin/shared";
import { methods } from "@tocsin/shared/contract";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Gate } from "../pipeline/gate.ts";
import type { Reply } from "../pipeline/reply.ts";
import { problemReply } from "../stages/explain.ts";
import type { Standing } from "../streams/standing.ts";
import { Streams } from "../streams/streams.ts";
import { Recall } from "./recall.ts";
import { Review, type UserReview } from "./review.ts";
import { Deadlines } from "../upstream/deadlines.ts";
import { admit } from "./admit.ts";
import { bind } from "./bind.ts";
import type { BoundAddress } from "./bind.ts";
import { Connection } from "./connection.ts";
import { drain } from "./drain.ts";
import type { DrainOptions } from "./drain.ts";
import { respond } from "./respond.ts";
import { Crowd } from "./crowd.ts";
import { ExchangeResponse } from "./response.ts";
import { openTunnel } from "./tunnel.ts";
import { farewell, refuseConnection, unreadable } from "./unreadable.ts";
import { faultInBody, isBroken, uploadOf } from "./upload.ts";
import type { Upload } from "./upload.ts";
import { asksForWebSocket, mayLackBytes, Upgrade } from "./upgrade.ts";

export interface ListenerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** The config now. Asked for each request, which keeps it to its end. */
  readonly gate: () => Gate;
  readonly clock: Clock;
  /** Default: `systemRandom`. */
  readonly random?: Random;
  readonly log: Log;
  readonly metrics: {
    connectionOpened(): void;
    connectionClosed(): void;
    recordUnreadable(status: number): void;
    connectionRefused(reason: "address"): void;
  };
  /** Where open WebSockets and event streams are known. Default: nobody asks. */
  readonly streams?: Streams;
  /** Decides whether what is open may go on. Absent: it may. */
  readonly standing?: Standing;
  /** Tells of users whose state is to be asked for again, and what became of them. Absent: nobody is. */
  readonly users?: UserReview;
  /** Life of an idle connection. Default 75 000: longer than that of usual load balancers, so that they close first. */
  readonly keepAliveMs?: Milliseconds;
}

/** Where requests come in. Disposing it cuts what is in flight; `drain` first to finish it. */
export interface Listener extends AsyncDisposable {
  readonly address: BoundAddress;
  /** Exchanges that are not over. */
  readonly active: number;
  /**
   * Finishes what is in flight and closes: replies carry `Connection: close`, idle connections are closed, then streams.
   *
   * @returns true when everything finished in time
   */
  drain(options: DrainOptions): Promise<boolean>;
}

/** Hard bound of the parser: the largest limits that a config can set, target and fields together. */
const parserLimitBytes = 136 * 1024;

/** How long a listener that stops waits for the first request on a connection that it has taken. */
const freshMs: Milliseconds = 1_000;

/** How often heads that are too slow are looked for, in milliseconds. */
const headersCheckMs: Milliseconds = 500;

/** @throws Error that says which address could not be bound, and why */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  const { clock, log, metrics } = options;
  const deadlines = new Deadlines(clock);
  const streams = options.streams ?? new Streams(clock, () => {});
  const responding = { clock, deadlines, streams };
  const { standing } = options;
  const open = new Set<ExchangeResponse>();
  const recall = standing && new Recall({ clock, standing, open });
  const review =
    options.users &&
    new Review({ clock, random: options.random ?? systemRandom, open, users: options.users });
  const connections = new Map<Socket, Connection>();
  const crowd = new Crowd();
  const keepAliveMs = options.keepAliveMs ?? 75_000;
  let draining = false;
  /** No new connections are taken any more. */
  let stopped = false;
  let active = 0;

  const server = createServer<typeof IncomingMessage, typeof ExchangeResponse>(
    {
      IncomingMessage,
      ServerResponse: ExchangeResponse,
      // The parser stays strict whatever NODE_OPTIONS says.
      insecureHTTPParser: false,
      maxHeaderSize: parserLimitBytes,
      // A missing Host is refused here like everything else (listener/admit.ts).
      requireHostHeader: false,
      optimizeEmptyRequests: true,
      noDelay: true,
      // Idle connections are timed here (Connection): Node would set two timers on the socket for each request.
      keepAliveTimeout: 0,
      // Until the first connection; then the config says.
      headersTimeout: 10_000,
      connectionsCheckingInterval: headersCheckMs,
      // An upload may take as long as it takes; pauses in it are bounded elsewhere (upload.ts).
      requestTimeout: 0,
      shouldUpgradeCallback: mayUpgrade,
    },
    serve,
  );
  // Beyond a count Node would drop fields silently, framing and credentials among them. Their bytes are bounded instead.
  server.maxHeadersCount = 0;
  // Which of them are idle is known here (`stop`); Node would take those for idle whose first request is on the way.
  server.closeIdleConnections = () => {};
  server.on("checkContinue", serve);
  server.on("checkExpectation", serve);
  server.on("connection", (socket: Socket) => {
    const connection = new Connection(socket);
    const gate = options.gate();
    // The last config counts, for connections that are open too.
    server.headersTimeout = gate.limits.headersTimeoutMs;
    const { address } = connection;
    const held = crowd.enter(address);
    socket.on("close", () => crowd.leave(address));
    if (held > gate.limits.connectionsPerAddress && !connection.origin(gate).trusted) {
      metrics.connectionRefused("address");
      socket.resetAndDestroy();
      return;
    }
    connections.set(socket, connection);
    metrics.connectionOpened();
    socket.on("close", () => {
      connections.delete(socket);
      deadlines.stop(connection);
      metrics.connectionClosed();
    });
  });
  server.on("clientError", (error: Error, socket) => {
    const connection = connections.get(socket as Socket);
    if (connection === undefined || connection.closing) return;
    // Behind a request that is the last one of its connection nothing counts (RFC 9112 §9.6); its answer closes the connection.
    if ("code" in error && error.code === "HPE_CLOSED_CONNECTION" && connection.active > 0) {
      connection.closing = true;
      return;
    }
    const code = unreadable(error);
    if (code === undefined) socket.destroy();
    else {
      metrics.recordUnreadable(refusals[code].status);
      refuseConnection(connection, code, deadlines);
    }
  });
  server.on("connect", (_request, socket) => {
    socket.on("error", () => {});
    const connection = connections.get(socket as Socket);
    metrics.recordUnreadable(405);
    if (connection === undefined) socket.destroy();
    else
      refuseConnection(connection, "method-not-allowed", deadlines, {
        allow: methods.join(", "),
      });
  });

  server.on("upgrade", (request, socket: Socket, first: Buffer) => {
    // Before 24.9 Node did not ask.
    if (mayUpgrade(request)) serve(request, new Upgrade(request, socket, first).response);
    else socket.destroy();
  });

  function mayUpgrade(request: IncomingMessage): boolean {
    const connection = connections.get(request.socket);
    // Behind a request that is not answered yet there is no telling when the connection is free, so it is served as a plain one.
    if (connection === undefined || connection.closing) return false;
    if (connection.active === 0 && asksForWebSocket(request)) return true;
    connection.plain = request;
    return false;
  }

  function serve(request: IncomingMessage, response: ExchangeResponse): void {
    const connection = connections.get(request.socket);
    // The connection broke while its first bytes were read.
    if (connection === undefined) {
      response.destroy();
      return;
    }
    connection.fresh = false;
    const before = connection.newest;
    if (before !== undefined) {
      before.release();
      if (isBroken(before)) connection.closing = true;
    }
    // Behind a request that was refused there may be one that only seems to be there: it is not served, and not answered.
    if (connection.closing) return;
    const gate = options.gate();
    const exchange = admit(request, connection, gate, clock);
    response.exchange = exchange;
    exchange.informant = response;
    response.connectionState = connection;
    deadlines.stop(connection);
    connection.newest = response;
    connection.active += 1;
    active += 1;
    open.add(response);
    response.on("close", onClose);
    response.writeTimeoutMs = gate.limits.writeTimeoutMs;
    response.upgrade?.begin(exchange, connection);
    if (exchange.fault !== undefined) connection.closing = true;
    else if (exchange.head.hasBody) {
      exchange.body = uploadOf(response, gate.limits, deadlines);
      if (exchange.head.chunked) {
        response.hold(() => {
          exchange.fault = faultInBody(request, gate.limits);
          if (exchange.fault !== undefined) connection.closing = true;
          handle(gate, exchange, response);
        });
        return;
      }
    }
    handle(gate, exchange, response);
  }

  function handle(gate: Gate, exchange: Exchange, response: ExchangeResponse): void {
    const close = exchange.fault !== undefined || response.upgrade !== undefined;
    try {
      gate.handle(exchange).then(
        (reply) => write(response, reply, close),
        (error: unknown) => broken(response, error),
      );
    } catch (error) {
      broken(response, error);
    }
  }

  function write(response: ExchangeResponse, reply: Reply, close: boolean): void {
    try {
      if (reply.switched !== undefined) openTunnel(response, reply, reply.switched, responding);
      else {
        // Who sent several at once hears it with the last answer: it would end the connection before the others.
        const connection = response.connectionState!;
        const last = draining && connection.newest === response;
        const lacks = connection.plain === response.req && mayLackBytes(connection);
        respond(response, reply, close || last || lacks, responding);
      }
    } catch (error) {
      broken(response, error);
    }
  }

  /** A stage outside of `explain` failed, or the reply has headers that cannot be sent. */
  function broken(response: ExchangeResponse, error: unknown): void {
    const exchange = response.exchange!;
    log.error({ request_id: exchange.id, cause: messageOf(error) }, "reply could not be written");
    exchange.code = "internal";
    if (response.headersSent || response.destroyed) response.destroy();
    else respond(response, problemReply(new Refusal("internal"), exchange.id), true, responding);
  }

  /** The last byte was handed to the system, or the connection is gone. */
  function onClose(this: ExchangeResponse): void {
    const exchange = this.exchange!;
    const connection = this.connectionState!;
    this.outflow?.stop();
    if (!this.abandoned) connection.active -= 1;
    active -= 1;
    open.delete(this);
    exchange.seat?.leave();
    if (!this.writableFinished && !this.switched) {
      if (exchange.code === undefined) exchange.aborted ??= new Aborted("client-gone");
      exchange.delivery?.abort(exchange.aborted ?? new Aborted("client-gone"));
    }
    const { body } = exchange;
    if (body !== undefined) {
      exchange.bytesIn = (body as Upload).bytes;
      body.destroy();
    }
    exchange.over?.(exchange);
    exchange.over = undefined;
    if (connection.active > 0 || this.switched) return;
    connection.newest = undefined;
    connection.plain = undefined;
    connection.bytesBefore = connection.socket.bytesRead;
    if (connection.farewell !== undefined) farewell(connection, connection.farewell, deadlines);
    else if (stopped) connection.socket.destroySoon();
    else deadlines.start(connection, keepAliveMs);
  }

  const address = await bind(server, options.host, options.port);
  server.on("error", (error) => log.error({ cause: error.message }, "listener failed"));

  const announce = () => {
    draining = true;
  };
  const cut = () => {
    for (const socket of connections.keys()) socket.destroy();
  };
  const stop = once(async () => {
    stopped = true;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const connection of connections.values()) {
      if (connection.active > 0) continue;
      // It was taken, and its first request may be on the way: that one is answered.
      if (connection.fresh) deadlines.start(connection, freshMs);
      else connection.socket.destroySoon();
    }
    await closed;
  });

  return {
    address,
    get active() {
      return active;
    },
    drain: (drainOptions) =>
      drain({ active: () => active, announce, stop, cut }, drainOptions, clock),
    [Symbol.asyncDispose]: once(async () => {
      announce();
      const closed = stop();
      cut();
      await closed;
      recall?.[Symbol.dispose]();
      review?.[Symbol.dispose]();
      deadlines.close();
    }),
  };
}
