/**
 * Ten thousand users with a stream each, and `purge --all`: how long it takes until all were asked about, how many questions a service gets
 * at once and in a second, and how long nothing else has its turn. In one process, with a service that answers after some milliseconds.
 *
 *   node bench/review.ts
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { silentLog, systemClock, systemRandom } from "@tocsin/shared";
import { UserPolicy } from "@tocsin/shared/contract";
import { Invalidations } from "@tocsin/shared/invalidations";
import { RevocationSet } from "@tocsin/shared/revocations";
import { Users } from "../proxy/src/identity/users/users.ts";
import { Review } from "../proxy/src/listener/review.ts";
import type { ExchangeResponse } from "../proxy/src/listener/response.ts";
import { userReview } from "../proxy/src/user-review.ts";

const userCount = 10_000;
const goneEvery = 100;

async function measure(answerMs: number) {
  const invalidations = new Invalidations();
  const users = new Users({
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    invalidations,
    revocations: new RevocationSet(),
    invalidationsMs: () => 500,
  });
  let onTheWay = 0;
  let most = 0;
  const askedAt: number[] = [];
  const { promise: allAsked, resolve } = Promise.withResolvers<void>();
  users.configure(UserPolicy.parse({ service: "users", path: "/{subject}" }), async (target) => {
    most = Math.max(most, (onTheWay += 1));
    askedAt.push(performance.now());
    await new Promise((done) => setTimeout(done, answerMs));
    onTheWay -= 1;
    if (askedAt.length === userCount && onTheWay === 0) resolve();
    const active = Number(target.slice(2)) % goneEvery !== 0;
    return { status: 200, body: Buffer.from(JSON.stringify({ active })) };
  });
  const open = new Set<ExchangeResponse>();
  let ended = 0;
  for (let index = 0; index < userCount; index += 1) {
    const principal = {
      method: "jwt",
      subject: `u${index}`,
      issuer: "i",
      roles: [],
      scopes: [],
      headers: [],
      credential: { issuer: "i", subject: `u${index}`, issuedAt: 1 },
    };
    const response = {
      exchange: { principal, route: { id: "r", auth: { mode: "required" } } },
      stream: {
        close() {
          ended += 1;
          open.delete(response);
        },
      },
    } as unknown as ExchangeResponse;
    open.add(response);
  }
  using review = new Review({
    clock: systemClock,
    random: systemRandom,
    open,
    users: userReview({ users, invalidations, config: () => undefined }),
  });
  void review;
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const cpu = process.cpuUsage();
  const from = performance.now();
  delay.enable();
  invalidations.forgetAll();
  await allAsked;
  const tookMs = performance.now() - from;
  delay.disable();
  const { user, system } = process.cpuUsage(cpu);
  const perSecond = new Map<number, number>();
  for (const at of askedAt) {
    const second = Math.floor((at - from) / 1_000);
    perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
  }
  // The last answers are being acted on.
  await new Promise((done) => setTimeout(done, 50));
  if (ended !== userCount / goneEvery) throw new Error(`${ended} were ended`);
  return {
    "answer after, ms": answerMs,
    "all asked after, s": (tookMs / 1_000).toFixed(1),
    "questions, at most in a second": Math.max(...perSecond.values()),
    "at most at once": most,
    "longest pause, ms": (delay.max / 1e6).toFixed(1),
    "CPU, ms": Math.round((user + system) / 1_000),
  };
}

// The timers of the product keep no process alive.
const alive = setInterval(() => {}, 1_000);
const rows = [];
for (const answerMs of [5, 50, 200]) rows.push(await measure(answerMs));
clearInterval(alive);
console.table(rows);
