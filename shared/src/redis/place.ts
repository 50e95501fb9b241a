/** Where a Redis is, out of its URL. */
export interface RedisPlace {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  /** Number of the database. */
  readonly database: number;
  readonly isEncrypted: boolean;
}

/**
 * Reads `redis://[user:password@]host[:port][/database]`; `rediss://` is the same over TLS.
 *
 * @returns undefined when the text is anything else. A query is refused too: what some clients read out of it would be ignored here.
 */
export function redisPlace(text: string): RedisPlace | undefined {
  const url = URL.parse(text);
  if (url === null || url.hostname === "" || url.search !== "" || url.hash !== "") return undefined;
  if (url.protocol !== "redis:" && url.protocol !== "rediss:") return undefined;
  const database = /^\/?(\d{0,5})$/.exec(url.pathname)?.[1];
  const username = decoded(url.username);
  const password = decoded(url.password);
  if (database === undefined || username === undefined || password === undefined) return undefined;
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? 6379 : Number(url.port),
    ...(username === "" ? {} : { username }),
    ...(password === "" ? {} : { password }),
    database: Number(database),
    isEncrypted: url.protocol === "rediss:",
  };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
