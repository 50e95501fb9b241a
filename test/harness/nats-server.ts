/**
 * A real nats-server with JetStream, on a free port of the loopback address.
 */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startProcess, type Process } from "./processes.ts";

export interface NatsOptions {
  /** A configuration file, such as the `nats.conf` of this repository. Port and store directory are overridden. */
  readonly config?: string;
  /** Environment of the server: passwords that the configuration refers to. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Default: a free one, kept over restarts. */
  readonly port?: number;
  /** Default: a new directory, removed at the end. */
  readonly storeDirectory?: string;
  /** Default `TOCSIN_NATS_SERVER`, else `nats-server` from PATH. */
  readonly binary?: string;
  /** Whether JetStream is on. Default true; with `config` the file decides. */
  readonly jetstream?: boolean;
}

export interface NatsServer extends AsyncDisposable {
  /** Without credentials: `nats://127.0.0.1:PORT`. */
  readonly url: string;
  /** The URL with credentials. */
  urlFor(user: string, password: string): string;
  readonly port: number;
  readonly storeDirectory: string;
  output(): string;
  /** Ends the server and waits until it is gone. Default SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /**
   * Kills the server if it runs, and starts it on the same port.
   *
   * @param change.wipe the store is emptied before the start
   * @param change.restore the store is replaced by this copy of it
   */
  restart(change?: { wipe?: boolean; restore?: string }): Promise<void>;
  /** Copies the store of a stopped or quiet server to another directory. */
  copyStore(to: string): Promise<void>;
  /** Freezes it: connections stay open, nothing is answered. */
  freeze(): void;
  thaw(): void;
}

export async function startNats(options: NatsOptions = {}): Promise<NatsServer> {
  const storeDirectory = options.storeDirectory ?? (await mkdtemp(join(tmpdir(), "tocsin-nats-")));
  const binary = options.binary ?? process.env["TOCSIN_NATS_SERVER"] ?? "nats-server";
  let port = options.port ?? -1;
  let server: Process;

  const start = async () => {
    const jetstream = options.config === undefined && options.jetstream !== false ? ["-js"] : [];
    const config = options.config === undefined ? [] : ["--config", options.config];
    server = await startProcess({
      command: binary,
      args: [
        ...config,
        ...jetstream,
        "--addr=127.0.0.1",
        `--port=${port}`,
        `--store_dir=${storeDirectory}`,
      ],
      ...(options.environment === undefined ? {} : { environment: options.environment }),
      ready: (output) => output.includes("Server is ready") && portOf(output) !== undefined,
    });
    port = portOf(server.output())!;
  };
  await start();

  return {
    url: `nats://127.0.0.1:${port}`,
    urlFor: (user, password) =>
      `nats://${encodeURIComponent(user)}:${encodeURIComponent(password)}@127.0.0.1:${port}`,
    port,
    storeDirectory,
    output: () => server.output(),
    kill: (signal) => server.kill(signal),
    async restart(change = {}) {
      await server.kill();
      if (change.wipe === true || change.restore !== undefined)
        await rm(storeDirectory, { recursive: true, force: true });
      if (change.restore !== undefined)
        await cp(change.restore, storeDirectory, { recursive: true });
      await start();
    },
    copyStore: (to) => cp(storeDirectory, to, { recursive: true }),
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
    async [Symbol.asyncDispose]() {
      await server.kill();
      if (options.storeDirectory === undefined)
        await rm(storeDirectory, { recursive: true, force: true });
    },
  };
}

function portOf(output: string): number | undefined {
  const match = /Listening for client connections on 127\.0\.0\.1:(\d+)/.exec(output);
  return match ? Number(match[1]) : undefined;
}
