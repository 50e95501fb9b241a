import { RevocationSet } from "@tocsin/shared/revocations";
import { describe, expect, test } from "vitest";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import { doorOf } from "../streams/door.ts";
import { Standing } from "../streams/standing.ts";
import { Streams, type Stream } from "../streams/streams.ts";
import { Recall } from "./recall.ts";

function given() {
  const clock = createVirtualClock();
  const set = new RevocationSet();
  const streams = new Streams(clock, () => {});
  const standing = new Standing(set, clock, doorOf(set));
  const recall = new Recall({ clock, streams, standing });
  const closed: string[] = [];
  const open = (subject: string, forMs = 3_600_000) => {
    const stream: Stream = {
      kind: "websocket",
      requestId: subject,
      clientAddress: "192.0.2.7",
      route: "r",
      service: "s",
      instance: undefined,
      principal: {
        method: "jwt",
        expiresAt: (clock.wall() + forMs) / 1_000,
        credential: { issuer: "i", subject, issuedAt: 1, jti: undefined, fingerprint: undefined },
      },
      close(code, reason) {
        closed.push(`${subject} ${code} ${reason}`);
        streams.ended(stream, reason);
      },
    };
    streams.opened(stream);
  };
  return { clock, set, recall, closed, open };
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
