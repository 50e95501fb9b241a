/** A load balancer as small as can be: passes connections on to whoever is ready, and asks that often. */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { ask } from "./client.ts";

export interface Balancer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Connections that nobody took. */
  readonly refused: number;
}

interface Backend {
  readonly host: string;
  readonly port: number;
  readonly probe: string;
  ready: boolean;
}

/** How often each is asked whether it is ready, in milliseconds. */
const everyMs = 50;

/** @param backends public URL and probe URL of each */
export async function startBalancer(
  backends: readonly { readonly url: string; readonly probe: string }[],
): Promise<Balancer> {
  const all: Backend[] = backends.map(({ url, probe }) => {
    const { hostname, port } = new URL(url);
    return { host: hostname, port: Number(port), probe, ready: true };
  });
  const sockets = new Set<Socket>();
  let refused = 0;
  let turn = 0;

  const look = async (backend: Backend) => {
    try {
      backend.ready = (await ask(backend.probe, "/readyz", { timeoutMs: 1_000 })).status === 200;
    } catch {
      backend.ready = false;
    }
  };
  const over = new AbortController();
  const looking = Promise.all(
    all.map(async (backend) => {
      while (!over.signal.aborted) {
        await look(backend);
        await new Promise((resolve) => setTimeout(resolve, everyMs));
      }
    }),
  );

  /** Those that are ready in turn, then the others: better one that may be there than none. */
  const inOrder = () => {
    turn += 1;
    const turned = all.map((_, index) => all[(index + turn) % all.length]!);
    return [...turned.filter(({ ready }) => ready), ...turned.filter(({ ready }) => !ready)];
  };

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    sockets.add(client);
    client.on("close", () => sockets.delete(client));
    client.on("error", () => {});
    const next = ([backend, ...others]: readonly Backend[]) => {
      if (backend === undefined) {
        refused += 1;
        return client.destroy();
      }
      const upstream = connect({ host: backend.host, port: backend.port, allowHalfOpen: true });
      upstream.setNoDelay(true);
      upstream.once("error", () => {
        if (upstream.connecting || client.bytesRead === 0) next(others);
      });
      upstream.once("connect", () => {
        sockets.add(upstream);
        upstream.removeAllListeners("error");
        upstream.on("error", () => client.resetAndDestroy());
        upstream.on("close", () => sockets.delete(upstream));
        client.on("close", () => upstream.destroy());
        client.pipe(upstream);
        upstream.pipe(client);
      });
      return undefined;
    };
    next(inOrder());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    get refused() {
      return refused;
    },
    async [Symbol.asyncDispose]() {
      over.abort();
      await looking;
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
