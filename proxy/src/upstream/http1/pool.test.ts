import { systemClock } from "@tocsin/shared";
import { expect, test } from "vitest";
import { instanceAt, soon, startRawOrigin } from "../../listener/gateway.fixture.ts";
import { Deadlines } from "../deadlines.ts";
import type { Connection } from "./connection.ts";
import { Pool } from "./pool.ts";

test("a thousand requests that hold their connections do not keep the next one waiting", async () => {
  await using origin = await startRawOrigin(() => {});
  const deadlines = new Deadlines(systemClock);
  const pool = new Pool(instanceAt(origin.port), systemClock, deadlines);
  const held: Connection[] = [];
  const failures: Error[] = [];
  const want = () =>
    pool.wait(
      {
        connected: (connection) => void held.push(connection),
        notConnected: (failure) => void failures.push(failure),
      },
      5_000,
    );
  for (let count = 1_000; count > 0; count -= 1) want();
  await soon(() => held.length === 1_000);
  want();
  await soon(() => held.length === 1_001);
  expect(new Set(held).size).toBe(1_001);
  expect(failures).toHaveLength(0);
  expect(pool.size).toBe(1_001);
  pool.destroy();
  for (const connection of held) connection.destroy();
  deadlines.close();
});
