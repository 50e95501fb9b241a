import { RevocationSet } from "@tocsin/shared/revocations";
import { describe, expect, test } from "vitest";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import { doorOf } from "../streams/door.ts";
import { Standing } from "../streams/standing.ts";
import type { Stream } from "../streams/streams.ts";
import { Recall } from "./recall.ts";
import type { ExchangeResponse } from "./response.ts";

function given() {
  const clock = createVirtualClock();
  const set = new RevocationSet();
  const exchanges = new Set<ExchangeResponse>();
  /** Until when the secrets of API keys are good. */
  const keys = new Map<string, number>();
  const standing = new Standing(set, clock, doorOf(set), (digest) => keys.get(digest));
  const recall = new Recall({ clock, standing, open: exchanges });
  const closed: string[] = [];
  const open = (subject: string, forMs = 3_600_000, keyDigest?: string) => {
    const response = {
      exchange: {
        clientAddress: "192.0.2.7",
        principal: {
          method: "jwt",
          expiresAt: (clock.wall() + forMs) / 1_000,
          credential: { issuer: "i", subject, issuedAt: 1, jti: undefined, fingerprint: undefined },
          ...(keyDigest === undefined ? {} : { keyDigest }),
        },
      },
      stream: {
        close(code, reason) {
          closed.push(`${subject} ${code} ${reason}`);
          exchanges.delete(response);
        },
      } as Partial<Stream>,
    } as unknown as ExchangeResponse;
    exchanges.add(response);
  };
  return { clock, set, keys, recall, closed, open };
}

describe("what is open", () => {
  test("is asked about at once, and again at the end of the pace when more came meanwhile", async () => {
    const { clock, set, closed, open } = given();
    for (const subject of ["alice", "bob", "carol"]) open(subject);
    set.addUser("alice", undefined, 2, 1e11);
    expect(closed).toEqual(["alice 4401 revoked"]);
    set.addUser("bob", undefined, 2, 1e11);
    expect(closed).toHaveLength(1);
    await clock.pass(20);
    expect(closed).toEqual(["alice 4401 revoked", "bob 4401 revoked"]);
    await clock.pass(1_000);
    expect(closed).toHaveLength(2);
  });

  test("ends when its time comes", async () => {
    const { clock, closed, open } = given();
    open("alice", 1_000);
    await clock.pass(990);
    expect(closed).toEqual([]);
    await clock.pass(60);
    expect(closed).toEqual(["alice 4401 expired"]);
  });

  test("ends with the secret of an API key that was rotated: when the overlap is over, or at once without one", async () => {
    const { clock, keys, closed, open } = given();
    for (const name of ["kept", "overlapping", "replaced"]) {
      keys.set(name, Infinity);
      open(name, Infinity, name);
    }
    await clock.pass(1_000);
    expect(closed).toEqual([]);
    keys.set("overlapping", clock.wall() + 500);
    keys.delete("replaced");
    await clock.pass(60);
    expect(closed).toEqual(["replaced 4401 revoked"]);
    await clock.pass(500);
    expect(closed).toEqual(["replaced 4401 revoked", "overlapping 4401 expired"]);
  });

  test("is asked about in the same look when there are many, and others have their turn meanwhile", async () => {
    const { set, closed, open } = given();
    for (let count = 0; count < 2_500; count += 1) open("trent");
    open("mallory");
    set.addUser("mallory", undefined, 2, 1e11);
    expect(closed).toEqual([]);
    let turns = 0;
    while (closed.length === 0 && turns < 10) {
      turns += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(closed).toEqual(["mallory 4401 revoked"]);
    expect(turns).toBeGreaterThan(1);
  });

  test("is left alone when nobody looks any more", async () => {
    const { clock, set, recall, closed, open } = given();
    open("alice", 1_000);
    recall[Symbol.dispose]();
    set.addUser("alice", undefined, 2, 1e11);
    await clock.pass(5_000);
    expect(closed).toEqual([]);
    expect(clock.timers).toBe(0);
  });
});
