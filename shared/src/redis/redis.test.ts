/** Against a real server: nothing waits longer than its bound, and nothing has to be restarted. */
import { Secret, silentLog, systemClock, systemRandom } from "@tocsin/shared";
import { describe, expect, test } from "vitest";
import { startRedis, startRelay } from "../../../test/harness/index.ts";
import { soon, timed } from "../../../test/harness/soon.ts";
import { connectRedis, type Redis } from "./redis.ts";
import { redisPlace } from "./place.ts";
import { RedisUnavailable } from "./unavailable.ts";

const timeoutMs = 150;
const connect = (url: string, log = silentLog) =>
  connectRedis({
    url: new Secret(url),
    timeoutMs,
    clock: systemClock,
    random: systemRandom,
    log,
  });

const refused = async (redis: Redis) => {
  const { result, ms } = await timed(() =>
    redis.ask(["GET", "a"]).catch((error: unknown) => error),
  );
  expect(result).toBeInstanceOf(RedisUnavailable);
  return ms;
};
/** More than the bound by what a busy machine may take. */
const inTime = timeoutMs + 250;

describe("a connection to Redis", () => {
  test("answers in order, and an error among the answers is one", async () => {
    await using server = await startRedis();
    await using redis = connect(server.url);
    await redis.ready();
    expect(await redis.ask(["SET", "a", 1], ["GET", "a"], ["GET", "b"])).toEqual(["OK", "1", null]);
    await expect(redis.ask(["GET", "a"], ["LPUSH", "a", "x"])).rejects.toThrow(/WRONGTYPE/);
    expect(redis.trouble).toBeUndefined();
  });

  test("takes user, password and database out of the URL, and tells none of them", async () => {
    await using server = await startRedis({ args: ['--requirepass "p@ss/word with blank"'] });
    const lines: string[] = [];
    const write = (fields: object, message: string) =>
      void lines.push(JSON.stringify([fields, message]));
    const log = { ...silentLog, info: write, warn: write, error: write };
    const password = encodeURIComponent("p@ss/word with blank");
    await using redis = connect(`redis://default:${password}@127.0.0.1:${server.port}/7`, log);
    await redis.ready();
    await redis.ask(["SET", "mark", "x"]);
    expect(redis.place).toBe(`127.0.0.1:${server.port}/7`);
    await using wrong = connect(`redis://:guess@127.0.0.1:${server.port}`, log);
    await soon(() => expect(wrong.trouble).toMatch(/WRONGPASS|NOAUTH/));
    await using other = connect(`redis://:${password}@127.0.0.1:${server.port}/6`, log);
    await other.ready();
    expect(await other.ask(["GET", "mark"])).toEqual([null]);
    expect(lines.join()).not.toMatch(/p@ss|guess|blank/);
  });

  test("a server that is killed is known to be away at once, and is found again when it is back", async () => {
    await using server = await startRedis();
    await using redis = connect(server.url);
    await redis.ready();
    await server.kill();
    await soon(() => expect(redis.trouble).toBeDefined());
    expect(await refused(redis)).toBeLessThan(50);
    await server.restart();
    await redis.ready(AbortSignal.timeout(5_000));
    expect(await redis.ask(["PING"])).toEqual(["PONG"]);
  });

  test("a server that is frozen costs one bound, then nothing, and is found again when it thaws", async () => {
    await using server = await startRedis();
    await using redis = connect(server.url);
    await redis.ready();
    server.freeze();
    const first = await Promise.all(Array.from({ length: 100 }, () => refused(redis)));
    expect(Math.max(...first)).toBeLessThan(inTime);
    for (let count = 0; count < 20; count += 1) expect(await refused(redis)).toBeLessThan(inTime);
    expect(redis.trouble).toMatch(/no answer/);
    expect(await refused(redis)).toBeLessThan(50);
    server.thaw();
    await redis.ready(AbortSignal.timeout(8_000));
    expect(await redis.ask(["PING"])).toEqual(["PONG"]);
  });

  test("a network that swallows everything is a frozen server, and a late answer is nobody's", async () => {
    await using server = await startRedis();
    await using relay = await startRelay(server.port);
    await using redis = connect(`redis://127.0.0.1:${relay.port}`);
    await redis.ready();
    await redis.ask(["SET", "a", "of a"], ["SET", "b", "of b"]);
    relay.hold("toClient");
    expect(await refused(redis)).toBeLessThan(inTime);
    expect(await refused(redis)).toBeLessThan(50);
    relay.pass();
    await redis.ready(AbortSignal.timeout(8_000));
    expect(await redis.ask(["GET", "b"])).toEqual(["of b"]);
  });

  test("nothing is sent twice: what a cut connection took is not repeated", async () => {
    await using server = await startRedis();
    await using relay = await startRelay(server.port);
    await using redis = connect(`redis://127.0.0.1:${relay.port}`);
    await redis.ready();
    relay.hold("toClient");
    const asked = redis.ask(["INCR", "count"]).catch((error: unknown) => error);
    await using direct = connect(server.url);
    await direct.ready();
    await soon(async () => expect(await direct.ask(["GET", "count"])).toEqual(["1"]));
    relay.cut();
    expect(await asked).toBeInstanceOf(RedisUnavailable);
    relay.pass();
    await redis.ready(AbortSignal.timeout(5_000));
    expect(await redis.ask(["GET", "count"])).toEqual(["1"]);
  });

  test("is over when it is disposed, also while the server is frozen or away", async () => {
    await using server = await startRedis();
    const frozen = connect(server.url);
    await frozen.ready();
    server.freeze();
    expect((await timed(async () => frozen[Symbol.asyncDispose]())).ms).toBeLessThan(1_000);
    await server.kill();
    const away = connect(server.url);
    await soon(() => expect(away.trouble).toMatch(/ECONNREFUSED/));
    expect((await timed(async () => away[Symbol.asyncDispose]())).ms).toBeLessThan(1_000);
    await away[Symbol.asyncDispose]();
    expect(await refused(away)).toBeLessThan(50);
  });
});

test.each([
  ["redis://localhost", { host: "localhost", port: 6379, database: 0, isEncrypted: false }],
  ["rediss://u:p@h:1/15", { username: "u", password: "p", database: 15, isEncrypted: true }],
  ["redis://:a%40b@[::1]:7/", { host: "::1", password: "a@b", port: 7, database: 0 }],
])("%s", (text, place) => {
  expect(redisPlace(text)).toMatchObject(place);
});

test.each([
  "localhost:6379",
  "http://localhost",
  "redis://",
  "redis://h/x",
  "redis://h/0/1",
  "redis://h?enableOfflineQueue=true",
  "redis://:%ff@h",
])("%s is no place of Redis", (text) => {
  expect(redisPlace(text)).toBeUndefined();
});
