/**
 * What users of the SDK see. Nothing here refers to another package, so that the published types stand alone.
 */

/** What a server says about where it listens: `node:http`, `node:https`, and what Express' `app.listen()` returns. */
export interface ListeningServer {
  address(): { readonly address: string; readonly port: number } | string | null;
}

/** A framework's application that holds its server in `server`, as Fastify's does. When it has `close()`, draining calls that. */
export interface ServerHolder {
  readonly server: ListeningServer;
}

export interface HealthCheck {
  /** Probed with GET; 2xx is well. Default: that of the service's config, else an accepted connection is enough. */
  readonly path?: string;
  /** Time between two probes, as a duration text (`500ms`, `5s`), 100ms to 1h. */
  readonly interval?: string;
  /** Time to wait for the answer to a probe, as a duration text, 10ms to 1m. */
  readonly timeout?: string;
}

export interface DrainOptions {
  /** Signals that begin the drain. Default SIGTERM and SIGINT. */
  readonly signals?: readonly ("SIGTERM" | "SIGINT" | "SIGHUP")[];
  /** How long requests in flight may take after the gateway has been told, in milliseconds. Default 30 000 (30 s). */
  readonly timeoutMs?: number;
}

/** Lines of the SDK about itself. A pino log, and so `app.log` of Fastify, fits. */
export interface RegistrationLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/**
 * - `registering`: not in the gateway yet
 * - `registered`: the lease is held
 * - `unreachable`: the control plane does not answer; the proxies go on with what they know, and renewal is tried again and again
 * - `refused`: the control plane answers no (a token that was changed, say); tried again every 30 s
 * - `superseded`: another process registered under the same instance name and has taken its place; nothing more is tried
 * - `draining`: the gateway is being told to send nothing new
 * - `deregistered`: out of the gateway
 */
export type RegistrationState =
  | "registering"
  | "registered"
  | "unreachable"
  | "refused"
  | "superseded"
  | "draining"
  | "deregistered";

export interface StateChange {
  readonly state: RegistrationState;
  readonly previous: RegistrationState;
  /** Why, for `unreachable`, `refused` and `superseded`. */
  readonly error?: Error;
}

export interface RegisterOptions {
  /** Name of the service: 1 to 63 lower-case letters, digits and hyphens, a letter or digit at both ends. */
  readonly name: string;
  /** The server to announce. One that does not listen yet is waited for. Either this or `url` is needed. */
  readonly server?: ListeningServer | ServerHolder;
  /** Where the instance answers, when that is not where `server` listens: scheme, host and port. */
  readonly url?: string;
  /**
   * Host to announce. Default: the address the server listens on; for a server that listens on all addresses, loopback when the
   * control plane is on loopback, else the address of the interface that leads to the control plane.
   */
  readonly host?: string;
  /** A path, or all of it. */
  readonly health?: string | HealthCheck;
  /** Name of this instance; another process with the same one supersedes this one. Default: host name and port. */
  readonly instance?: string;
  /** Share of the requests, relative to the other instances, 1 to 1000. Default 1. */
  readonly weight?: number;
  /** Where it runs; a name. */
  readonly zone?: string;
  /** Version of the service, at most 64 characters. */
  readonly version?: string;
  /** Texts for whoever looks at the instance. */
  readonly metadata?: Readonly<Record<string, string>>;
  /**
   * On SIGTERM or SIGINT: deregister, wait until every proxy has stopped sending, close the server, let requests in flight finish,
   * and end the process unless somebody else listens to the signal. A second signal ends the process at once.
   * `false`: leave signals alone. Default: on.
   */
  readonly drain?: boolean | DrainOptions;
  /** Ends the wait for the first registration; later, deregisters. */
  readonly signal?: AbortSignal;
  /** How long to wait for a control plane that cannot be reached before the first registration fails, in milliseconds. Default 30 000 (30 s). */
  readonly timeoutMs?: number;
  /** Called at each change of state. What it throws is logged. */
  readonly onState?: (change: StateChange) => void;
  /** Where lines go. Default: warnings and errors to standard error. */
  readonly log?: RegistrationLog;
  /** Where `TOCSIN_*` variables are read. Default `process.env`. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** One instance in the gateway. Disposing it deregisters, and resolves when every live proxy has stopped sending. */
export interface Registration {
  readonly service: string;
  readonly instance: string;
  /** What was announced. */
  readonly url: string;
  readonly state: RegistrationState;
  /** Deregisters and waits for the answer, at most 10 s. Never rejects: a lease that nobody renews ends by itself. Calling it again waits for the same. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
