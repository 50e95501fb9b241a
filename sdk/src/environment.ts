import { readFileSync } from "node:fs";
import { join } from "node:path";
import { natsProblems, type NatsPlace } from "@tocsin/shared/bus";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where the control plane is. */
export type Whereabouts =
  | {
      readonly kind: "http";
      readonly url: URL;
      /** Read at each call: the gateway may write it, or change it, after this process began. */
      readonly token: () => FoundToken;
    }
  | ({ readonly kind: "nats" } & NatsPlace);

export interface FoundToken {
  readonly token: string | undefined;
  /** Where it was found, or where it was looked for. */
  readonly place: string;
}

/** NATS when `TOCSIN_NATS_URL` is set, else HTTP to `TOCSIN_ADMIN_URL`. @throws TypeError naming the variable that is wrong */
export function whereabouts(environment: Environment): Whereabouts {
  const servers = secret(environment, "TOCSIN_NATS_URL");
  if (servers !== undefined) {
    const split = servers.split(",").map((server) => server.trim());
    // Not repeated: it may hold a password.
    if (!split.every((server) => /^(nats|tls):\/\/./.test(server) && URL.canParse(server)))
      throw new TypeError("TOCSIN_NATS_URL: allowed: nats:// or tls:// URLs, separated by commas");
    const place: NatsPlace = {
      servers: split,
      credentials: environment["TOCSIN_NATS_CREDENTIALS"] || undefined,
      authorities: environment["TOCSIN_NATS_CA"] || undefined,
      certificate: environment["TOCSIN_NATS_CERT"] || undefined,
      key: environment["TOCSIN_NATS_KEY"] || undefined,
    };
    const problems = natsProblems(place);
    if (problems.length > 0)
      throw new TypeError(problems.map(({ name, message }) => `${name}: ${message}`).join("\n"));
    return { kind: "nats", ...place };
  }
  const text = environment["TOCSIN_ADMIN_URL"] || "http://127.0.0.1:7070";
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    throw new TypeError(
      `TOCSIN_ADMIN_URL: found ${JSON.stringify(text)}, allowed: an http or https URL`,
    );
  }
  return { kind: "http", url, token: () => findToken(environment) };
}

/** The token of the admin API: `TOCSIN_ADMIN_TOKEN`, `TOCSIN_ADMIN_TOKEN_FILE`, or `admin-token` in the state directory. */
export function findToken(environment: Environment): FoundToken {
  const direct = environment["TOCSIN_ADMIN_TOKEN"];
  if (direct) return { token: direct, place: "TOCSIN_ADMIN_TOKEN" };
  const file =
    environment["TOCSIN_ADMIN_TOKEN_FILE"] ||
    join(environment["TOCSIN_STATE_DIR"] || ".tocsin", "admin-token");
  try {
    return { token: readFileSync(file, "utf8").trim() || undefined, place: file };
  } catch {
    return {
      token: undefined,
      place: `TOCSIN_ADMIN_TOKEN, TOCSIN_ADMIN_TOKEN_FILE and ${file}`,
    };
  }
}

function secret(environment: Environment, name: string): string | undefined {
  const file = environment[`${name}_FILE`];
  if (!file) return environment[name] || undefined;
  try {
    return readFileSync(file, "utf8").trim() || undefined;
  } catch (error) {
    throw new TypeError(
      `${name}_FILE: cannot read ${JSON.stringify(file)}: ${(error as NodeJS.ErrnoException).code ?? "failed"}`,
      { cause: error },
    );
  }
}
