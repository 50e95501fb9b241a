import { createSocket } from "node:dgram";
import { once } from "node:events";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import type { ListeningServer, ServerHolder } from "./options.ts";

/** Where the way to the control plane begins: the address of the interface that leads there is one that it can reach. */
export interface Destination {
  readonly host: string;
  readonly port: number;
}

/** The server itself, out of a framework's application. */
export function serverOf(server: ListeningServer | ServerHolder): ListeningServer {
  return "server" in server && typeof server.server?.address === "function"
    ? server.server
    : (server as ListeningServer);
}

/**
 * Where a server answers, as others see it: scheme, host and port.
 *
 * @throws TypeError when the server is none, or listens on a path of the file system
 * @throws the signal's reason when the server does not begin to listen
 */
export async function urlOf(
  holder: ListeningServer | ServerHolder,
  host: string | undefined,
  controlPlane: Destination,
  signal: AbortSignal,
): Promise<string> {
  const server = serverOf(holder);
  if (typeof server?.address !== "function") {
    throw new TypeError(
      "server: expected a node:http server, a Fastify instance, or what app.listen() of Express returned",
    );
  }
  const address = await listeningAddress(server, signal);
  if (typeof address === "string") {
    throw new TypeError(
      `server: listens on ${address}, which the gateway cannot reach; give url instead`,
    );
  }
  const announced =
    host ?? (isUnspecified(address.address) ? await addressTowards(controlPlane) : address.address);
  // Servers of node:https and node:tls alone can change their certificates.
  const scheme = "setSecureContext" in server ? "https" : "http";
  return `${scheme}://${isIP(announced) === 6 ? `[${announced}]` : announced}:${address.port}`;
}

async function listeningAddress(server: ListeningServer, signal: AbortSignal) {
  const address = server.address();
  if (address !== null) return address;
  await once(server as unknown as NodeJS.EventEmitter, "listening", { signal }).catch(
    (error: unknown) => {
      throw signal.aborted ? (signal.reason as Error) : error;
    },
  );
  const bound = server.address();
  if (bound === null) throw new Error("the server stopped listening before it was registered");
  return bound;
}

const isUnspecified = (address: string) => address === "0.0.0.0" || address === "::";

/** Whether a host is this machine itself (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3, RFC 6761 §6.3). */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, "").toLowerCase();
  return (
    bare === "localhost" ||
    bare.endsWith(".localhost") ||
    bare === "::1" ||
    (isIP(bare) === 4 && bare.startsWith("127."))
  );
}

/** The address of this machine on the interface that leads to the control plane. */
async function addressTowards({ host, port }: Destination): Promise<string> {
  if (isLoopback(host)) return "127.0.0.1";
  const bare = host.replace(/^\[|\]$/g, "");
  const found =
    (await localAddress("udp4", bare, port)) ?? (await localAddress("udp6", bare, port));
  if (found !== undefined) return isLoopback(found) ? "127.0.0.1" : found;
  // The name does not resolve yet, or there is no way there now: any interface that is not loopback.
  const outward = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith("fe80:"));
  return (outward.find(({ family }) => family === "IPv4") ?? outward[0])?.address ?? "127.0.0.1";
}

/** Which local address the system would send from. Connecting a datagram socket asks the routing table and sends nothing. */
async function localAddress(
  type: "udp4" | "udp6",
  host: string,
  port: number,
): Promise<string | undefined> {
  const socket = createSocket(type);
  try {
    socket.connect(port, host);
    await once(socket, "connect");
    return socket.address().address;
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}
