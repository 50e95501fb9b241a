/** A door of its own: the client of Redis is loaded by those who have one. */
export { connectRedis } from "./redis.ts";
export type { Command, Redis, RedisOptions } from "./redis.ts";
export { RedisUnavailable } from "./unavailable.ts";
