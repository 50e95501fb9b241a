/**
 * A real redis-server, in memory, on a free port of the loopback address.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./ports.ts";
import { startProcess, type Process } from "./processes.ts";

export interface RedisOptions {
  /** Default: a free one, kept over restarts. */
  readonly port?: number;
  /** Further arguments, such as `--maxmemory 1mb`. */
  readonly args?: readonly string[];
  /** Default `TOCSIN_REDIS_SERVER`, else `redis-server` from PATH. */
  readonly binary?: string;
}

export interface RedisServer extends AsyncDisposable {
  /** `redis://127.0.0.1:PORT`. */
  readonly url: string;
  readonly port: number;
  output(): string;
  /** Ends the server and waits until it is gone. Default SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Kills the server if it runs, and starts it empty on the same port. */
  restart(): Promise<void>;
  /** Freezes it: connections stay open, nothing is answered. */
  freeze(): void;
  thaw(): void;
}

export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const directory = await mkdtemp(join(tmpdir(), "tocsin-redis-"));
  const start = (port: number) =>
    startProcess({
      command: options.binary ?? process.env["TOCSIN_REDIS_SERVER"] ?? "redis-server",
      args: [
        `--port ${port}`,
        "--bind 127.0.0.1",
        `--dir ${directory}`,
        '--save ""',
        "--appendonly no",
        ...(options.args ?? []),
      ],
      ready: (output) => output.includes("Ready to accept connections"),
    });

  let port = options.port ?? (await freePort());
  let server: Process;
  for (let attempt = 1; ; attempt++) {
    try {
      server = await start(port);
      break;
    } catch (error) {
      // Somebody else may have taken the port between the question and the answer.
      const taken = String(error).includes("Address already in use");
      if (!taken || options.port !== undefined || attempt === 5) throw error;
      port = await freePort();
    }
  }

  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    output: () => server.output(),
    kill: (signal) => server.kill(signal),
    async restart() {
      await server.kill();
      server = await start(port);
    },
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
    async [Symbol.asyncDispose]() {
      await server.kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
