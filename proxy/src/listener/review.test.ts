import { afterEach, expect, test } from "vitest";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import type { Ending } from "../streams/standing.ts";
import { Review } from "./review.ts";
import type { ExchangeResponse } from "./response.ts";

const stops: Review[] = [];
afterEach(() => {
  for (const review of stops.splice(0)) review[Symbol.dispose]();
});

/** @param tookMs how long a question takes */
function given({ tookMs = 5 } = {}) {
  const clock = createVirtualClock({ quick: true });
  const open = new Set<ExchangeResponse>();
  const ended: string[] = [];
  /** By subject what is said; absent: they may go on. */
  const said = new Map<string, Ending | "unanswered">();
  /** By subject: what the route says without an answer. */
  const without = new Map<string, Ending>();
  const asked: { readonly subject: string; readonly at: number }[] = [];
  let onTheWay = 0;
  let most = 0;
  let forget: (user: string | undefined) => void = () => {};
  const review = new Review({
    clock,
    random: () => 0.5,
    open,
    users: {
      onForgotten(listener) {
        forget = listener;
        return () => (forget = () => {});
      },
      concerns: ({ method }) => method === "jwt",
      async judge({ subject }) {
        asked.push({ subject, at: clock.monotonic() });
        most = Math.max(most, (onTheWay += 1));
        await new Promise<void>((resolve) => void clock.after(tookMs, resolve));
        onTheWay -= 1;
        return said.get(subject);
      },
      unanswered: ({ subject }) => without.get(subject),
    },
  });
  stops.push(review);
  const begin = (subject: string, method = "jwt", ends = true) => {
    const response = {
      exchange: { principal: { method, subject, issuer: "i" }, route: { id: "r" } },
      stream: ends
        ? {
            close(code: number, reason: string) {
              ended.push(`${subject} ${code} ${reason}`);
              open.delete(response);
            },
          }
        : undefined,
    } as unknown as ExchangeResponse;
    open.add(response);
    return response;
  };
  const subjects = () => asked.map(({ subject }) => subject);
  return {
    clock,
    open,
    ended,
    said,
    without,
    asked,
    subjects,
    begin,
    review,
    most: () => most,
    forget: (user?: string) => forget(user),
  };
}

test("whoever is named is asked about, and ends as the answer says; nobody else is", async () => {
  const { clock, ended, said, subjects, begin, forget } = given();
  for (const name of ["ada", "bob", "bob", "carol", "dan"]) begin(name);
  begin("bob", "api-key");
  said.set("bob", "revoked").set("carol", "forbidden");
  forget("bob");
  forget("carol");
  forget("ada");
  forget("nobody here");
  await clock.pass(100);
  expect(new Set(subjects())).toEqual(new Set(["ada", "bob", "carol"]));
  expect(ended.toSorted()).toEqual([
    "bob 4401 revoked",
    "bob 4401 revoked",
    "carol 4403 forbidden",
  ]);
});

test("everybody is asked about evenly over half a minute, and not many at the same time", async () => {
  const { clock, ended, said, asked, begin, forget, most } = given({ tookMs: 50 });
  for (let count = 0; count < 6_000; count += 1) begin(`user-${count}`);
  said.set("user-5999", "revoked");
  forget();
  await clock.pass(29_000);
  expect(asked.length).toBeGreaterThan(5_000);
  expect(asked.length).toBeLessThan(6_000);
  await clock.pass(2_000);
  expect(asked).toHaveLength(6_000);
  expect(ended).toEqual(["user-5999 4401 revoked"]);
  expect(most()).toBeLessThanOrEqual(32);
  const perSecond = new Map<number, number>();
  for (const { at } of asked)
    perSecond.set(Math.floor(at / 1_000), (perSecond.get(Math.floor(at / 1_000)) ?? 0) + 1);
  expect(Math.max(...perSecond.values())).toBeLessThanOrEqual(204);
  await clock.pass(60_000);
  expect(asked).toHaveLength(6_000);
}, 20_000);

test("a service that is slow is asked for longer, and nobody is ended for that", async () => {
  const { clock, ended, asked, begin, forget, most } = given({ tookMs: 3_000 });
  for (let count = 0; count < 600; count += 1) begin(`user-${count}`);
  forget();
  await clock.pass(40_000);
  expect(asked.length).toBeLessThan(600);
  await clock.pass(40_000);
  expect(asked).toHaveLength(600);
  expect(most()).toBe(32);
  expect(ended).toEqual([]);
});

test("who is named is asked about before everybody else", async () => {
  const { clock, ended, said, begin, forget } = given();
  for (let count = 0; count < 1_000; count += 1) begin(`user-${count}`);
  said.set("user-999", "revoked");
  forget();
  await clock.pass(1_000);
  forget("user-999");
  await clock.pass(100);
  expect(ended).toEqual(["user-999 4401 revoked"]);
});

test("without an answer it is asked for ten seconds, then the route decides; who goes on is asked about until there is one", async () => {
  const { clock, ended, said, without, subjects, begin, forget } = given();
  for (const name of ["deny", "allow", "back"]) {
    begin(name);
    said.set(name, "unanswered");
  }
  without.set("deny", "unavailable").set("back", "unavailable");
  for (const name of ["deny", "allow", "back"]) forget(name);
  await clock.pass(5_000);
  expect(ended).toEqual([]);
  said.delete("back");
  await clock.pass(10_000);
  expect(ended).toEqual(["deny 1013 unavailable"]);
  const before = subjects().length;
  await clock.pass(10_000);
  expect(subjects()).toHaveLength(before);
  await clock.pass(60_000);
  expect(subjects().slice(before).includes("allow")).toBe(true);
  said.set("allow", "revoked");
  await clock.pass(60_000);
  expect(ended).toEqual(["deny 1013 unavailable", "allow 4401 revoked"]);
  const last = subjects().length;
  await clock.pass(120_000);
  expect(subjects()).toHaveLength(last);
});

test("an invalidation that comes while it is asked is asked about as well", async () => {
  const { clock, ended, said, begin, forget } = given({ tookMs: 100 });
  begin("ada");
  forget("ada");
  await clock.pass(60);
  forget("ada");
  await clock.pass(61);
  expect(ended).toEqual([]);
  said.set("ada", "revoked");
  await clock.pass(200);
  expect(ended).toEqual(["ada 4401 revoked"]);
});

test("a request that waits for something before it is forwarded ends when it is", async () => {
  const { clock, open, said, begin, forget } = given();
  const response = begin("ada", "jwt", false);
  const aborted: unknown[] = [];
  said.set("ada", "revoked");
  forget("ada");
  await clock.pass(200);
  expect(aborted).toEqual([]);
  response.exchange!.delivery = {
    abort(reason) {
      aborted.push((reason as { code?: string }).code);
      open.delete(response);
    },
  };
  await clock.pass(100);
  expect(aborted).toEqual(["credential-revoked"]);
});

test("nobody is asked about who has left, or when nobody looks any more", async () => {
  const { clock, open, asked, begin, forget, review } = given();
  const gone = begin("ada");
  forget("ada");
  open.delete(gone);
  await clock.pass(100);
  expect(asked).toEqual([]);
  for (let count = 0; count < 100; count += 1) begin(`user-${count}`);
  forget();
  await clock.pass(40);
  review[Symbol.dispose]();
  const before = asked.length;
  await clock.pass(60_000);
  expect(asked).toHaveLength(before);
  expect(clock.timers).toBe(0);
});
