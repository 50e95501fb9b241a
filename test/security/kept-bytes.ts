/** What a gateway keeps, byte for byte, wherever it keeps it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Secret, silentLog, systemClock, systemRandom } from "@tocsin/shared";
import { connectRedis } from "@tocsin/shared/redis";
import { expect } from "vitest";
import { connectBreakGlass, jetStream } from "../faults/break-glass.ts";
import type { Gateway } from "../harness/gateway.ts";
import type { RedisServer } from "../harness/index.ts";

/** Whatever is kept in JetStream, as it lies there, headers included. */
export async function* everyEntry({ nats }: Gateway): AsyncGenerator<readonly [string, string]> {
  await using bus = await connectBreakGlass(nats!);
  const { streams } = (await jetStream(bus, "STREAM.NAMES")) as { streams: string[] };
  expect(streams).toEqual(
    expect.arrayContaining(["TOCSIN_CATALOGUE", "TOCSIN_REVOCATIONS", "TOCSIN_AUDIT"]),
  );
  for (const stream of streams) {
    const { state } = (await jetStream(bus, `STREAM.INFO.${stream}`)) as {
      state: { first_seq: number; last_seq: number };
    };
    for (let seq = state.first_seq; seq <= state.last_seq; seq += 1) {
      // Of a key only the last entry is kept.
      const found = await jetStream(bus, `STREAM.MSG.GET.${stream}`, { seq }).catch(
        () => undefined,
      );
      const message = found?.["message"] as
        | { subject: string; data?: string; hdrs?: string }
        | undefined;
      if (message === undefined) continue;
      const { subject, data, hdrs } = message;
      yield [
        `journal ${stream}`,
        `${subject} ${Buffer.from(hdrs ?? "", "base64").toString("latin1")} ${Buffer.from(data ?? "", "base64").toString("latin1")}`,
      ];
    }
  }
}

/** Every key of Redis, with what stands under it. */
export async function* everyKey(
  { port }: RedisServer,
  password: string,
): AsyncGenerator<readonly [string, string]> {
  await using client = connectRedis({
    url: new Secret(`redis://:${password}@127.0.0.1:${port}`),
    timeoutMs: 5_000,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
  });
  await client.ready();
  const [keys] = (await client.ask(["KEYS", "*"])) as [string[]];
  expect(keys.length).toBeGreaterThan(1);
  for (const key of keys) {
    const [type] = await client.ask(["TYPE", key]);
    const [value] = await client.ask(
      type === "string"
        ? ["GET", key]
        : type === "zset"
          ? ["ZRANGE", key, 0, -1]
          : ["HGETALL", key],
    );
    yield [`Redis ${String(type)}`, `${key} ${JSON.stringify(value)}`];
  }
}

/** The entries of the embedded journals. */
export function rowsIn(state: string): [place: string, text: string][] {
  using database = new DatabaseSync(join(state, "journal", "journal.sqlite"), { readOnly: true });
  const rows = database.prepare("SELECT journal, key, body, operation FROM entry").all();
  expect(new Set(rows.map(({ journal }) => journal))).toContain("revocations");
  return rows.map((row) => [`journal ${String(row["journal"])}`, JSON.stringify(row)]);
}

export function filesIn(directory: string): [path: string, bytes: Buffer][] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => [path.slice(directory.length), readFileSync(path)]);
}
