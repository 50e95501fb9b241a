import type { Server } from "node:net";
import type { AddressInfo } from "node:net";

/** Where a server is reached. */
export interface BoundAddress {
  readonly host: string;
  readonly port: number;
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is taken by another process",
  EACCES: "this user may not use the port",
  EADDRNOTAVAIL: "no network interface has this address",
  ENOTFOUND: "the host name does not resolve",
};

/**
 * Binds a server. Port 0: any free one.
 *
 * @throws Error that says which address could not be bound, and why
 */
export function bind(server: Server, host: string, port: number): Promise<BoundAddress> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => {
      const reason = reasons[error.code ?? ""] ?? error.message;
      reject(new Error(`cannot listen on ${host}:${port}: ${reason}`, { cause: error }));
    };
    server.once("error", failed);
    server.listen({ host, port, backlog: 1_024 }, () => {
      server.off("error", failed);
      const { address, port: bound } = server.address() as AddressInfo;
      resolve({ host: address, port: bound });
    });
  });
}
