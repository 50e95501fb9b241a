/**
 * The environment as a table: one row a variable. Typed settings, `.env.example` and the reference page all come from it.
 */
import { readFileSync } from "node:fs";
import { isIPv4 } from "node:net";
import { natsProblems, type NatsPlace } from "./bus/nats-files.ts";
import { logLevels, Secret } from "./log.ts";
import { isName, toName } from "./names.ts";
import { redisPlace } from "./redis/place.ts";
import { shown } from "./shown.ts";
import { parseDuration } from "./time.ts";

/** Where to listen, or where somebody listens. */
export interface Address {
  readonly host: string;
  /** 0: any free port; the bound one is printed. */
  readonly port: number;
}

interface Row<T> {
  /** What it means, for the reference page. */
  readonly meaning: string;
  /** What is allowed, for the error. */
  readonly allowed: string;
  /** The text used when the variable is absent; undefined: the setting stays undefined. */
  readonly fallback?: string;
  /** How the default reads where it is not a fixed text. */
  readonly shownFallback?: string;
  /** Never printed; may come from the file that `<NAME>_FILE` names. */
  readonly secret?: true;
  /** @returns undefined when the text is not allowed. */
  readonly parse: (text: string) => T | undefined;
}

function row<T>(definition: Row<T> & { fallback: string }): Row<T> & { fallback: string };
function row<T>(definition: Row<T>): Row<T>;
function row<T>(definition: Row<T>): Row<T> {
  return definition;
}

function url(protocols: readonly string[]) {
  return (text: string): string | undefined => {
    const parsed = URL.parse(text);
    return parsed && protocols.includes(parsed.protocol) && parsed.hostname !== ""
      ? text
      : undefined;
  };
}

function upToAnHour(text: string): number | undefined {
  const durationMs = parseDuration(text);
  return durationMs !== undefined && durationMs <= 3_600_000 ? durationMs : undefined;
}

/** More than that many processes of one proxy are a mistake. */
export const maxWorkers = 64;

const nonEmpty = (text: string): string | undefined => (text === "" ? undefined : text);

export const settingsTable = {
  TOCSIN_LISTEN: row({
    meaning: "Proxy: the public listener.",
    allowed: "host:port, [ipv6]:port or :port, port 0 to 65535",
    fallback: "0.0.0.0:8080",
    parse: parseAddress,
  }),
  TOCSIN_ADVERTISE_URL: row({
    meaning: "Sidecar: where other proxies reach it, which is what it registers for its service.",
    allowed: "an http or https URL of scheme, host and port",
    shownFallback:
      "`TOCSIN_LISTEN`; where that is every address, the first one that is not loopback",
    parse: (text) => originOf(text),
  }),
  TOCSIN_OUTBOUND_LISTEN: row({
    meaning:
      "Sidecar: where its service calls others, as `/{service}/…`. Nobody is asked for a credential there, so it is on loopback only.",
    allowed: "host:port with localhost, an address in 127.0.0.0/8 or [::1], port 0 to 65535",
    fallback: "127.0.0.1:15001",
    parse: (text) => {
      const address = parseAddress(text);
      return address !== undefined && isLoopback(address.host) ? address : undefined;
    },
  }),
  TOCSIN_PROBE_LISTEN: row({
    meaning: "Proxy: `/livez`, `/readyz`, `/metrics`, `/status`.",
    allowed: "host:port, [ipv6]:port or :port, port 0 to 65535",
    fallback: "127.0.0.1:9090",
    parse: parseAddress,
  }),
  TOCSIN_ADMIN_LISTEN: row({
    meaning: "Control plane: the admin API, and its own `/livez`, `/readyz`, `/metrics`.",
    allowed: "host:port, [ipv6]:port or :port, port 0 to 65535",
    fallback: "127.0.0.1:7070",
    parse: parseAddress,
  }),
  TOCSIN_ADMIN_TOKEN: row({
    meaning: "Bearer token of the admin API.",
    allowed: "at least 16 printable characters without blanks",
    shownFallback:
      "generated, kept in the state directory (`admin-token`, mode 600), its path printed",
    secret: true,
    parse: (text) => (/^[\x21-\x7e]{16,}$/.test(text) ? new Secret(text) : undefined),
  }),
  TOCSIN_ADMIN_URL: row({
    meaning: "Where the command line and the HTTP half of the SDK find the admin API.",
    allowed: "an http or https URL",
    fallback: "http://127.0.0.1:7070",
    parse: url(["http:", "https:"]),
  }),
  TOCSIN_NATS_URL: row({
    meaning:
      "Cluster bus; credentials in the URL or in the file that `TOCSIN_NATS_CREDENTIALS` names. Several servers: separated by commas.",
    allowed: "nats:// or tls:// URLs, separated by commas",
    shownFallback: "none: standalone",
    secret: true,
    parse: (text) =>
      text.split(",").every((server) => url(["nats:", "tls:"])(server.trim()) !== undefined)
        ? new Secret(text)
        : undefined,
  }),
  TOCSIN_NATS_CREDENTIALS: row({
    meaning:
      "File with the credentials of a NATS user: a `.creds` file (JWT and seed), or the seed of an nkey. Read again at each connection.",
    allowed: "the path of a file that can be read, and not by every user of the machine",
    parse: nonEmpty,
  }),
  TOCSIN_NATS_CA: row({
    meaning:
      "Certificates of the authorities that the certificates of `tls://` servers come from. Read again at each connection.",
    allowed: "the path of a file with certificates (PEM)",
    shownFallback: "the authorities that Node knows",
    parse: nonEmpty,
  }),
  TOCSIN_NATS_CERT: row({
    meaning:
      "Certificate to show to a `tls://` server that asks for one, the chain behind it following. Read again at each connection.",
    allowed: "the path of a file with certificates (PEM); with `TOCSIN_NATS_KEY`",
    parse: nonEmpty,
  }),
  TOCSIN_NATS_KEY: row({
    meaning: "Private key of that certificate. Read again at each connection.",
    allowed:
      "the path of a file with a key (PEM) that can be read, and not by every user of the machine",
    parse: nonEmpty,
  }),
  TOCSIN_REDIS_URL: row({
    meaning:
      "Redis of a cluster: where sessions are kept. User, password and database in the URL or not; `rediss://` is over TLS. The same one for control planes and proxies.",
    allowed: "redis://[user:password@]host[:port][/database], or rediss://",
    shownFallback:
      "none: sessions are kept in the state directory when standalone, and nowhere in a cluster",
    secret: true,
    parse: (text) => (redisPlace(text) === undefined ? undefined : new Secret(text)),
  }),
  TOCSIN_STATE_DIR: row({
    meaning:
      "Directory of the embedded journal, the generated admin token, and a proxy's last good snapshot.",
    allowed: "a path",
    fallback: ".tocsin",
    parse: nonEmpty,
  }),
  TOCSIN_PROXY_ID: row({
    meaning: "Name of a proxy node.",
    allowed: "1 to 63 lower-case letters, digits and hyphens, a letter or digit at both ends",
    shownFallback: "host name and four random characters",
    parse: (text) => (isName(text) ? text : undefined),
  }),
  TOCSIN_CONTROL_PLANE_ID: row({
    meaning: "Name of a control-plane node.",
    allowed: "1 to 63 lower-case letters, digits and hyphens, a letter or digit at both ends",
    shownFallback: "host name and four random characters",
    parse: (text) => (isName(text) ? text : undefined),
  }),
  TOCSIN_CONFIG: row({
    meaning: "Config file, as `--config`.",
    allowed: "the path of a file that can be read",
    parse: (text) => (readable(text) ? text : undefined),
  }),
  TOCSIN_LOG_LEVEL: row({
    meaning: "How much is logged.",
    allowed: logLevels.join(", "),
    fallback: "info",
    parse: (text) => logLevels.find((level) => level === text),
  }),
  TOCSIN_WORKERS: row({
    meaning:
      "How many processes of `tocsin proxy` take requests, on one port and under one name. 1: everything in one process. `standalone` is always one.",
    allowed: `a whole number from 1 to ${maxWorkers}`,
    shownFallback: "one for each core",
    parse: (text) => {
      const workers = Number(text);
      return /^\d{1,3}$/.test(text) && workers >= 1 && workers <= maxWorkers ? workers : undefined;
    },
  }),
  TOCSIN_DRAIN_NOTICE: row({
    meaning:
      "How long a proxy that was told to stop, and is not ready any more, still takes new connections: the time in which whoever routes to it notices. Part of `TOCSIN_DRAIN_TIMEOUT`.",
    allowed: "a duration (0ms, 250ms, 5s), at most 1h",
    fallback: "250ms",
    parse: upToAnHour,
  }),
  TOCSIN_DRAIN_TIMEOUT: row({
    meaning: "How long a process that was told to stop may take to finish what is in flight.",
    allowed: "a duration (250ms, 30s, 15m), at most 1h",
    fallback: "30s",
    parse: upToAnHour,
  }),
} as const;

/**
 * Variables of the interface whose parts this version does not have yet. They weaken nothing when they are set (what would use them is
 * refused in the config), so a deployment that is ahead of its version starts, and is told.
 */
const settingsWithoutPart: Readonly<Record<string, string>> = {
  OTEL_EXPORTER_OTLP_ENDPOINT: "this version does not export traces yet",
};

/** What to tell the operator about variables that are set and have no effect. */
export function settingsWithoutEffect(
  environment: Readonly<Record<string, string | undefined>>,
): SettingProblem[] {
  return Object.entries(settingsWithoutPart)
    .filter(([name]) => environment[name])
    .map(([name, message]) => ({ name, message: `${message}: it has no effect` }));
}

type Table = typeof settingsTable;
type SettingName = keyof Table;
type Value<R> = R extends { parse: (text: string) => infer T; fallback: string }
  ? NonNullable<T>
  : R extends { parse: (text: string) => infer T }
    ? NonNullable<T> | undefined
    : never;

/** Every setting, read and checked. */
export type Settings = { readonly [name in SettingName]: Value<Table[name]> };

export interface SettingProblem {
  readonly name: string;
  readonly message: string;
}

/** Thrown with every problem at once, before any socket is bound. The process ends with {@link exitCode}. */
export class SettingsError extends Error {
  override readonly name = "SettingsError";
  readonly problems: readonly SettingProblem[];
  constructor(problems: readonly SettingProblem[]) {
    super(problems.map((problem) => `${problem.name}: ${problem.message}`).join("\n"));
    this.problems = problems;
  }
}

/** EX_USAGE of sysexits(3). */
export const exitCode = 64;

/**
 * Reads the settings.
 *
 * @throws SettingsError naming each wrong variable, its value (unless secret) and what is allowed
 */
export function readSettings(environment: Readonly<Record<string, string | undefined>>): Settings {
  const problems: SettingProblem[] = [];
  const settings: Record<string, unknown> = {};
  for (const [name, definition] of Object.entries<Row<unknown>>(settingsTable)) {
    const text = textOf(name, definition, environment, problems);
    if (text === undefined) continue;
    const value = definition.parse(text);
    if (value === undefined) {
      const found = definition.secret ? `a value of ${text.length} characters` : shown(text);
      problems.push({ name, message: `found ${found}, allowed: ${definition.allowed}` });
    }
    settings[name] = value;
  }
  problems.push(...natsProblems(natsPlace(settings as Settings)));
  if (problems.length > 0) throw new SettingsError(problems);
  return settings as Settings;
}

/** How to get to the bus, as the NATS connection and the check of its files take it. */
export function natsPlace(settings: Settings): NatsPlace {
  return {
    servers: settings.TOCSIN_NATS_URL?.reveal().split(",") ?? [],
    credentials: settings.TOCSIN_NATS_CREDENTIALS,
    authorities: settings.TOCSIN_NATS_CA,
    certificate: settings.TOCSIN_NATS_CERT,
    key: settings.TOCSIN_NATS_KEY,
  };
}

function textOf(
  name: string,
  definition: Row<unknown>,
  environment: Readonly<Record<string, string | undefined>>,
  problems: SettingProblem[],
): string | undefined {
  // An empty variable is how a shell and a compose file say "not set".
  const direct = environment[name] || undefined;
  const file = definition.secret ? environment[`${name}_FILE`] || undefined : undefined;
  if (file === undefined) return direct ?? definition.fallback;
  if (direct !== undefined) {
    problems.push({ name, message: `set either ${name} or ${name}_FILE, not both` });
    return undefined;
  }
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    problems.push({
      name: `${name}_FILE`,
      message: `cannot read ${JSON.stringify(file)}: ${(error as NodeJS.ErrnoException).code ?? "failed"}`,
    });
    return undefined;
  }
}

/** Reads `host:port`, `[ipv6]:port`, `:port`. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]/]*)):(\d{1,5})$/.exec(text);
  if (!match) return undefined;
  const port = Number(match[3]);
  return port > 65_535 ? undefined : { host: match[1] ?? (match[2] || "0.0.0.0"), port };
}

/** Whether only this machine itself can reach a host (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3, RFC 6761 §6.3). */
function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

/** Scheme, host and port. @returns undefined when the text has anything else */
function originOf(text: string): string | undefined {
  const parsed = url(["http:", "https:"])(text) === undefined ? null : URL.parse(text);
  return parsed !== null && parsed.href === `${parsed.origin}/` ? parsed.origin : undefined;
}

/** Writes an address as {@link parseAddress} reads it. */
export function formatAddress(address: Address): string {
  return address.host.includes(":")
    ? `[${address.host}]:${address.port}`
    : `${address.host}:${address.port}`;
}

/** A node name out of the host's name: `web-1` becomes `web-1-x4k2`. */
export function nodeName(hostName: string, random: () => number): string {
  const suffix = Array.from({ length: 4 }, () => Math.floor(random() * 36).toString(36)).join("");
  return `${(toName(hostName) ?? "node").slice(0, 58).replace(/-+$/, "")}-${suffix}`;
}

function readable(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}
