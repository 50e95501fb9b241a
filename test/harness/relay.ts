/**
 * A TCP relay that can be told to misbehave: the network between two programs that believe they talk to each other.
 */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { NatsEdits, type Matches } from "./nats-edits.ts";
import { natsFrames, type NatsFrame } from "./nats-frames.ts";
import { createPump, type Pump } from "./relay-pump.ts";

export type Direction = "both" | "toClient" | "toServer";

export interface RelayOptions {
  /** Understand what a NATS server says, so that single messages can be edited. Default false: bytes are bytes. */
  readonly nats?: boolean;
}

export interface Relay extends AsyncDisposable {
  readonly port: number;
  /** Connections that are open now. */
  readonly connections: number;
  /** Connections that clients have opened so far, refused ones too. */
  readonly attempts: number;
  /** Bytes that have gone through so far. */
  readonly carried: { readonly toClient: number; readonly toServer: number };
  /** Everything passes again; what was held goes out now. New connections are accepted. */
  pass(): void;
  /** New connections are reset at once. Open ones go on; see {@link cut}. */
  refuse(): void;
  /** Resets all open connections. */
  cut(): void;
  /** Bytes stay in the relay, open connections are silent (half-open TCP) until {@link pass}. */
  hold(direction?: Direction): void;
  /** Bytes vanish, connections stay open. What follows a {@link pass} may be half a message: cut as well. */
  drop(direction?: Direction): void;
  /** Each chunk takes this long more, in milliseconds; order is kept. 0 ends it. */
  delay(delayMs: number, direction?: Direction): void;
  /** Resets all connections when so many more bytes have gone in a direction. Default towards the client. */
  cutAfter(bytes: number, direction?: "toClient" | "toServer"): void;
  /**
   * Swallows exactly one message on its way to a client of a NATS server, the next that matches; every other byte passes.
   * Resolves when it has happened. Needs `nats: true`.
   */
  dropNext(matches: Matches): Promise<NatsFrame>;
  /** Says the next message that matches twice. Resolves when it has happened. Needs `nats: true`. */
  repeatNext(matches: Matches): Promise<NatsFrame>;
  /**
   * Keeps the next message that matches back until the one after it that matches has passed: the two arrive in the wrong order. Resolves
   * with them as they came, when it has happened. Needs `nats: true`.
   */
  swapNext(matches: Matches): Promise<readonly [first: NatsFrame, second: NatsFrame]>;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  readonly toClient: Pump;
  readonly toServer: Pump;
}

/** @param target port of the loopback address, or host and port */
export async function startRelay(
  target: number | { readonly host?: string; readonly port: number },
  options: RelayOptions = {},
): Promise<Relay> {
  const to = typeof target === "number" ? { port: target } : target;
  const pairs = new Set<Pair>();
  const modes = {
    toClient: { mode: "pass" as "pass" | "hold" | "drop", delayMs: 0 },
    toServer: { mode: "pass" as "pass" | "hold" | "drop", delayMs: 0 },
  };
  const budget = { toClient: Infinity, toServer: Infinity };
  let refusing = false;
  let attempts = 0;
  const carried = { toClient: 0, toServer: 0 };
  const edits = new NatsEdits();

  const cut = () => {
    for (const { client, server } of pairs) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
    pairs.clear();
  };
  const spend = (direction: "toClient" | "toServer") => (bytes: number) => {
    carried[direction] += bytes;
    budget[direction] -= bytes;
    if (budget[direction] > 0) return;
    budget[direction] = Infinity;
    cut();
  };
  const speaksNats = (): NatsEdits => {
    if (options.nats === true) return edits;
    throw new Error("startRelay(target, { nats: true }) is needed to edit messages");
  };

  const relay = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    client.on("error", () => {});
    attempts++;
    if (refusing) {
      client.resetAndDestroy();
      return;
    }
    const server = connect({
      host: to.host ?? "127.0.0.1",
      port: to.port,
      allowHalfOpen: true,
      noDelay: true,
    });
    server.on("error", () => client.resetAndDestroy());
    const pair: Pair = {
      client,
      server,
      toClient: createPump(
        server,
        client,
        modes.toClient,
        spend("toClient"),
        options.nats ? natsFrames(edits.edit) : undefined,
      ),
      toServer: createPump(client, server, modes.toServer, spend("toServer")),
    };
    pairs.add(pair);
    const over = () => {
      if (client.destroyed && server.destroyed) pairs.delete(pair);
      // The other side of a reset connection is reset, not ended: that is what a dead host looks like.
      if (client.destroyed && client.errored !== null) server.resetAndDestroy();
    };
    client.on("close", over);
    server.on("close", over);
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  const { port } = relay.address() as { port: number };

  const each = (direction: Direction, change: (side: "toClient" | "toServer") => void) => {
    if (direction !== "toServer") change("toClient");
    if (direction !== "toClient") change("toServer");
    for (const { toClient, toServer } of pairs) {
      toClient.changed();
      toServer.changed();
    }
  };

  return {
    port,
    carried,
    get connections() {
      return pairs.size;
    },
    get attempts() {
      return attempts;
    },
    pass() {
      refusing = false;
      each("both", (side) => Object.assign(modes[side], { mode: "pass", delayMs: 0 }));
    },
    refuse() {
      refusing = true;
    },
    cut,
    hold: (direction = "both") => each(direction, (side) => void (modes[side].mode = "hold")),
    drop: (direction = "both") => each(direction, (side) => void (modes[side].mode = "drop")),
    delay: (delayMs, direction = "both") =>
      each(direction, (side) => void (modes[side].delayMs = delayMs)),
    cutAfter(bytes, direction = "toClient") {
      budget[direction] = bytes;
    },
    dropNext: async (matches) => speaksNats().drop(matches),
    repeatNext: async (matches) => speaksNats().repeat(matches),
    swapNext: async (matches) => speaksNats().swap(matches),
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((resolve) => relay.close(resolve));
    },
  };
}
