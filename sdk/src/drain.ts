import { systemClock } from "@tocsin/shared";
import type { ListeningServer, RegistrationLog, ServerHolder } from "./options.ts";
import { serverOf } from "./address.ts";

type Signal = "SIGTERM" | "SIGINT" | "SIGHUP";

/** What the drain needs of the process. */
export interface HostProcess {
  on(signal: Signal, listener: (signal: Signal) => void): unknown;
  off(signal: Signal, listener: (signal: Signal) => void): unknown;
  listenerCount(signal: Signal): number;
  /** Without a code: the one that the service has set, else 0. */
  exit(code?: number): void;
}

export interface DrainSettings {
  readonly signals: readonly Signal[];
  /** How long requests in flight may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly server: ListeningServer | ServerHolder | undefined;
  /** Deregisters; resolves when no proxy sends any more. */
  readonly deregister: () => Promise<void>;
  readonly log: RegistrationLog;
  readonly host: HostProcess;
}

/**
 * A request that a proxy wrote just before it learned of the drain may still be in a socket's buffer when the answer to the
 * deregistration is here: connections that look idle are kept for this long, in milliseconds.
 */
const lingerMs = 250;
/** Once everything is answered, the program may end by itself within this time (closing its own things) before it is ended. */
const graceMs = 2_000;
/** A wrapper passes on what the terminal has sent to everybody already: the same signal twice within this time is one. */
const echoMs = 100;

const signalNumbers: Readonly<Record<Signal, number>> = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

/** Drains at the first signal, ends the process at the second. Returns how to stop listening. */
export function drainOnSignals(settings: DrainSettings): () => void {
  const { signals, host, log } = settings;
  let begunAtMs: number | undefined;
  const listener = (signal: Signal) => {
    const nowMs = systemClock.monotonic();
    if (begunAtMs === undefined) {
      begunAtMs = nowMs;
      log.info({ signal }, "draining");
      void drain(settings, signal, stop);
    } else if (nowMs - begunAtMs > echoMs) {
      log.warn({ signal }, "second signal: ending at once");
      host.exit(128 + signalNumbers[signal]);
    }
  };
  const stop = () => {
    for (const signal of signals) host.off(signal, listener);
  };
  for (const signal of signals) host.on(signal, listener);
  return stop;
}

async function drain(settings: DrainSettings, signal: Signal, stop: () => void): Promise<void> {
  const { server, deregister, timeoutMs, log, host } = settings;
  await deregister();
  if (server !== undefined) {
    await elapsed(lingerMs);
    await closeServer(server, timeoutMs, log);
  }
  // Whoever else listens to the signal has a way of ending in mind, and the process is theirs to end.
  const alone = host.listenerCount(signal) <= 1;
  log.info({ signal }, "drained");
  if (alone) systemClock.after(graceMs, () => host.exit());
  else stop();
}

interface Closable {
  close(callback: (error?: Error) => void): unknown;
  closeIdleConnections?(): void;
  closeAllConnections?(): void;
}

/** Stops accepting, lets requests in flight finish, and cuts what is left after `timeoutMs`. Never rejects. */
export async function closeServer(
  holder: ListeningServer | ServerHolder,
  timeoutMs: number,
  log: RegistrationLog,
): Promise<void> {
  const server = serverOf(holder) as unknown as Partial<Closable>;
  if (typeof server.close !== "function") return;
  // A connection that becomes idle after `close()` stays until its keep-alive time is over, unless somebody closes it.
  const sweep = setInterval(() => server.closeIdleConnections?.(), 50);
  const cut = setTimeout(() => {
    log.warn({ timeoutMs }, "requests in flight took too long and were cut");
    server.closeAllConnections?.();
  }, timeoutMs);
  try {
    await (isApplication(holder) ? holder.close() : closed(server as Closable));
  } catch (error) {
    // Somebody closed it already.
    if ((error as NodeJS.ErrnoException).code !== "ERR_SERVER_NOT_RUNNING")
      log.warn({ reason: (error as Error).message }, "closing the server failed");
  } finally {
    clearInterval(sweep);
    clearTimeout(cut);
  }
}

/** An application's own `close()` runs its hooks, which closing the server under it would skip. */
function isApplication(
  holder: ListeningServer | ServerHolder,
): holder is ServerHolder & { close(): Promise<void> } {
  return "server" in holder && "close" in holder && typeof holder.close === "function";
}

function closed(server: Closable): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((error) => (error ? reject(error) : resolve()));
    server.closeIdleConnections?.();
  });
}

function elapsed(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
