import {
  systemClock,
  systemRandom,
  type Log,
  type Milliseconds,
  type Settings,
} from "@tocsin/shared";
import type { SessionStore } from "@tocsin/shared/sessions";

/** How long one question may take, in milliseconds: requests wait for a proxy's, people for a control plane's. */
export const sessionPatienceMs = { proxy: 250, "control-plane": 2_000 } as const;

/**
 * Where sessions are kept: in Redis where the settings name one, else in the directory.
 *
 * It is not waited for: until it is there, sessions are refused and everything else is served.
 *
 * @param directory `:memory:`, or undefined where there is none that all processes share
 * @returns undefined when they are kept nowhere
 */
export async function sessionStore(
  { TOCSIN_REDIS_URL: url }: Pick<Settings, "TOCSIN_REDIS_URL">,
  log: Log,
  timeoutMs: Milliseconds,
  directory?: string,
): Promise<SessionStore | undefined> {
  // Loaded where they are used: the client of Redis takes its time.
  const { openSessions, redisSessions } = await import("@tocsin/shared/sessions");
  if (url !== undefined) {
    const { connectRedis } = await import("@tocsin/shared/redis");
    const connection = { url, timeoutMs, clock: systemClock, random: systemRandom, log };
    return redisSessions(connectRedis(connection), systemClock);
  }
  return directory === undefined ? undefined : openSessions(directory, systemClock);
}

/** Where those of a cluster are kept, on a stack that ends it. */
export async function clusterSessions(
  stack: AsyncDisposableStack,
  settings: Settings,
  log: Log,
  role: keyof typeof sessionPatienceMs,
): Promise<{ readonly sessions?: SessionStore }> {
  const store = await sessionStore(settings, log, sessionPatienceMs[role]);
  return store === undefined ? {} : { sessions: stack.use(store) };
}
