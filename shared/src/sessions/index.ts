export { SessionId, StoredSession } from "./session.ts";
export type { HeldSession } from "./session.ts";
export {
  freshCookieValue,
  hashOf,
  isSecretOf,
  readCookieValue,
  writeCookieValue,
} from "./cookie-value.ts";
export type { CookieValue } from "./cookie-value.ts";
export { SessionStoreUnavailable } from "./store.ts";
export type { SessionStore } from "./store.ts";
export { redisSessions } from "./redis.ts";
export { openSessions } from "./embedded.ts";
