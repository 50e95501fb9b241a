import { connect as connectPlain } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Cancel, Clock, Milliseconds } from "@tocsin/shared";
import type { UpstreamInstance } from "./instances.ts";

/** No connection came about, so nothing was sent. */
export class ConnectFailure extends Error {
  override readonly name = "ConnectFailure";
}

/** The connection took too long to come about. */
export class ConnectTimeout extends ConnectFailure {
  constructor() {
    super("the connect time is up");
  }
}

/**
 * Opens a connection to an instance: to the address that was checked at registration, whatever its name resolves to now. In TLS the
 * name counts, and its certificate must be valid.
 *
 * @param done called once, with the socket or with a {@link ConnectFailure}; not after the returned function was called
 * @returns gives it up
 */
export function dial(
  instance: UpstreamInstance,
  timeoutMs: Milliseconds,
  clock: Clock,
  done: (outcome: Socket | ConnectFailure) => void,
): Cancel {
  const { protocol, hostname, port } = new URL(instance.url);
  const secure = protocol === "https:";
  const name = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
  const options = {
    host: instance.address ?? name,
    port: port === "" ? (secure ? 443 : 80) : Number(port),
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
  };
  const socket: Socket = secure
    ? connectTls({
        ...options,
        servername: /^[\d.]+$|:/.test(name) ? "" : name,
        ALPNProtocols: ["http/1.1"],
      })
    : connectPlain(options);
  const cancelTimer = clock.after(timeoutMs, () => finish(new ConnectTimeout()));
  const failed = (error: Error) =>
    finish(new ConnectFailure(`connecting failed: ${error.message}`, { cause: error }));
  socket.once(secure ? "secureConnect" : "connect", () => finish(undefined));
  socket.on("error", failed);
  let open = true;
  function settle(): boolean {
    if (!open) return false;
    open = false;
    cancelTimer();
    return true;
  }
  function finish(failure: ConnectFailure | undefined): void {
    if (!settle()) return;
    if (failure === undefined) {
      socket.off("error", failed);
      return done(socket);
    }
    socket.destroy();
    done(failure);
  }
  return () => {
    if (settle()) socket.destroy();
  };
}
