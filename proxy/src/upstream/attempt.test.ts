import { expect, test } from "vitest";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import { instanceAt, soon, startRawOrigin } from "../listener/gateway.fixture.ts";
import { Attempt } from "./attempt.ts";
import type { Answer } from "./attempt.ts";
import { Deadlines } from "./deadlines.ts";
import { Pool } from "./http1/pool.ts";

/** An attempt that tells how much of the body has come. */
class Counted extends Attempt {
  came = 0;
  override data(bytes: Uint8Array): void {
    this.came += bytes.byteLength;
    super.data(bytes);
  }
}

test("the silence while somebody is slow to take what was put aside is not the instance's", async () => {
  const size = 1024 * 1024;
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`;
  await using origin = await startRawOrigin(({ socket }) => {
    socket.once("data", () => socket.write(head + "x".repeat(size)));
  });
  const clock = createVirtualClock();
  const deadlines = new Deadlines(clock);
  const pool = new Pool(instanceAt(origin.port), clock, deadlines);
  let answer: Answer | undefined;
  const attempt = new Counted(
    deadlines,
    { connect: 1_000, firstByte: 1_000, idle: 100 },
    "GET",
    "/",
    [],
    undefined,
    undefined,
    {
      answered: (given) => void (answer = given),
      interim() {},
      failed(_attempt, error) {
        throw error;
      },
      over() {},
    },
  );
  attempt.go(pool);
  // More than is put aside, so that the instance waits.
  await soon(() => answer !== undefined && attempt.came > 64 * 1024);
  const aside = attempt.came;
  let open = false;
  let failure: Error | undefined;
  let whole = false;
  answer!.body!.start({
    write: () => open,
    end: () => void (whole = true),
    fail: (error) => void (failure = error),
  });
  await clock.pass(1_000);
  expect(failure).toBeUndefined();
  expect(attempt.came).toBe(aside);
  open = true;
  attempt.resume();
  await soon(() => whole);
  expect(attempt.came).toBe(size);
  deadlines.close();
});
