/** What the peers share: an upstream from the command line, any free port, and a line that says which. */
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

/** The upstream's URL. */
export const upstream = process.argv[2] ?? "";

/** Listens on the loopback address and prints the URL. */
export async function listen(server: Server): Promise<void> {
  server.listen(0, "127.0.0.1", 1024);
  await once(server, "listening");
  announce(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

export function announce(url: string): void {
  process.stdout.write(`${url}\n`);
}
