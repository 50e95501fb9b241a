import { createVirtualClock } from "../../../../test/harness/virtual-clock.ts";
import { BusUnavailable } from "../../bus/bus.ts";
import { epochKey, type Epoch, type Head, type Sequence } from "../../journal/journal.ts";
import { silentLog } from "../../log.ts";
import type { Milliseconds } from "../../time.ts";
import { startReplica } from "../replica.ts";
import type { AppliedOrder, SyncAnswer, SyncQuestion } from "../source.ts";
import { isPoison, ModelJournal, type ModelAnswerer } from "./model-journal.ts";
import { ModelSource } from "./model-source.ts";
import { ReplaceTable, UnionTable } from "./model-table.ts";
import type { Circumstances, Fate, Step } from "./steps.ts";

/** What became of a history. */
export interface Run {
  readonly violations: readonly string[];
  /** What happened in it at least once. */
  readonly reached: ReadonlySet<string>;
}

/** What the replica may have learned at a moment: that everything up to a head was recorded. */
interface Knowledge {
  readonly at: Milliseconds;
  readonly epoch: Epoch;
  readonly head: Sequence;
}

const term = 3;

/** Lets a history happen to a replica, watches it at every step, and lets the faults end. */
export async function play(
  steps: readonly Step[],
  circumstances: Circumstances & { readonly keyed: boolean; readonly union: boolean },
): Promise<Run> {
  const { keyed, union, form, backlog } = circumstances;
  const violations: string[] = [];
  const reached = new Set<string>();
  const expect = (holds: boolean, violation: string) => {
    if (!holds) violations.push(violation);
  };
  const clock = createVirtualClock({ quick: true });
  let { seed } = circumstances;
  const random = () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
  const upTo = (ms: Milliseconds) => 1 + Math.floor(random() * ms);
  const journal = new ModelJournal(keyed);
  const table = union ? new UnionTable(journal) : new ReplaceTable(journal);
  const source = new ModelSource(journal, clock);
  const orders: AppliedOrder[] = [];
  const knowledge: Knowledge[] = [];
  const ever = new Set<string>();

  // ---- who answers

  let answerer: ModelAnswerer | undefined = journal;
  source.answering = async (question: SyncQuestion): Promise<SyncAnswer> => {
    if (answerer === undefined) throw new BusUnavailable("timeout", "mute");
    // Answered as of now, delivered later: what is recorded in between is not in it.
    const at = clock.monotonic();
    const answer = answerer.answer(question, form);
    await new Promise<void>((resolve) => clock.after(upTo(120), resolve));
    if (answer.mode === "retry") reached.add("declined");
    else {
      if (question.epoch !== undefined && answer.mode === "snapshot")
        reached.add("snapshot for a delta");
      if (answer.mode === "delta" && answer.entries.length > 0) reached.add("delta");
      knowledge.push({ at, epoch: answer.epoch, head: answer.to });
    }
    return answer;
  };

  const pause = () => {
    reached.add("pause");
    return new Promise<void>((resolve) => clock.after(upTo(25), resolve));
  };
  table.pause = async () => {
    for (let turns = upTo(3); turns > 0; turns--) await pause();
  };
  const replica = startReplica({
    journal: "catalogue",
    source,
    table,
    clock,
    random,
    log: silentLog,
    pause,
    timings: { backlog, sliceMs: random() < 0.5 ? 0 : 5 },
    onApplied: (order) => orders.push(order),
    onChange: () => check(),
  });

  // ---- what must hold at every moment

  /** When it first heard of a head that it has not reached, in its epoch. */
  let behindSince: Milliseconds | undefined;
  /** The last beacon that counts. */
  let heard: Head | undefined;
  function check(): void {
    const { state, epoch, applied, head, stalenessMs, poisoned, resyncs, gaps } = replica.status();
    const now = clock.monotonic();
    reached.add(state);
    if (applied >= head) behindSince = undefined;
    else behindSince ??= now;
    if (behindSince !== undefined && now - behindSince > 50)
      expect(state !== "live", "live, and behind for more than its grace");
    for (const [reason, count] of Object.entries(resyncs))
      if (count > 0) reached.add(`resync: ${reason}`);
    if (gaps > 0) reached.add("gap");
    expect(gaps === resyncs.repair, "counts a hole that it does not repair");
    if (table instanceof UnionTable) {
      for (const body of ever) expect(table.bodies.has(body), `forgot ${body}`);
      for (const body of table.bodies) ever.add(body);
    }
    if ((poisoned?.count ?? 0) !== table.poisoned)
      violations.push(`says ${poisoned?.count ?? 0} were poisoned, and ${table.poisoned} were`);
    // What went back without a word cannot be known before a beacon has told it twice.
    if (journal.wentBack) return;
    if (stalenessMs !== undefined) checkStaleness(now - stalenessMs, epoch!, state === "live");
    if (state === "live" && heard?.epoch === epoch)
      expect(heard!.head <= applied, `live at ${applied}, and a beacon said ${heard!.head}`);
    expect(resyncs.rewind === 0, "believed in a rewind that never was");
  }

  /** One that was current as of a moment holds everything that it could know then to be recorded, as long as it is in that epoch. */
  function checkStaleness(asOf: Milliseconds, epoch: Epoch, live: boolean): void {
    const then = knowledge.filter(({ at }) => Math.abs(at - asOf) < 1e-6);
    const known = then.filter((one) => one.epoch === epoch);
    if (known.length === 0) {
      expect(!live && then.length > 0, `current as of ${asOf}, when nothing was known`);
      return;
    }
    const head = Math.min(...known.map((one) => one.head));
    const lacking = journal
      .history(epoch)
      .find(
        (entry) =>
          entry.sequence <= head &&
          !isPoison(entry) &&
          entry.key !== epochKey &&
          !journal.replaced(entry) &&
          !table.holds(entry),
      );
    expect(
      lacking === undefined,
      `current as of ${asOf}, and lacks ${lacking?.sequence} of ${epoch}`,
    );
  }

  // ---- what happens

  const deliver = (fate: Fate, send: () => void) => {
    reached.add(fate);
    if (fate === "arrives" || fate === "twice") send();
    if (fate === "twice") clock.after(30, send);
    if (fate === "late") clock.after(upTo(90), send);
  };
  const beacon = (head: Head) => {
    if (!source.subscribed) return;
    heard = head;
    knowledge.push({ at: clock.monotonic(), ...head });
    source.beacon(head, term);
  };

  for (const step of steps) {
    switch (step.do) {
      case "append": {
        const { order, poison, fate } = step;
        const entry = journal.append(
          `key-${step.key}`,
          poison ? `poison ${journal.last}` : undefined,
          order ? `order-${orders.length}-${journal.epoch}-${journal.last}` : undefined,
        );
        deliver(fate, () => source.feed(entry));
        break;
      }
      case "beacon": {
        const { head } = journal;
        deliver(step.fate, () => beacon(head));
        break;
      }
      case "deposed":
        // Of a leader whose successor was heard; else nobody could tell.
        if (heard?.epoch !== journal.epoch) break;
        reached.add("deposed leader");
        source.beacon({ epoch: heard.epoch, head: Math.max(0, journal.last - step.by) }, term - 1);
        break;
      case "pass":
        await clock.pass(step.ms);
        break;
      case "comeBack":
        source.comeBack();
        break;
      case "recreate":
        journal.recreate();
        reached.add("another stream");
        break;
      case "renew": {
        const entry = journal.renew(Math.max(0, journal.last - step.by));
        reached.add("another history");
        deliver(step.fate, () => source.feed(entry));
        break;
      }
      case "answerer":
        answerer = step.is === "mute" ? undefined : step.is === "good" ? journal : journal.frozen();
        reached.add(`answerer: ${step.is}`);
        break;
      case "spoil":
        table.spoilt = true;
        break;
      default:
        step satisfies never;
    }
    check();
  }

  // ---- the faults end

  answerer = journal;
  // A rewind that nobody noticed, and nothing recorded after it: only the beacon can tell.
  await clock.pass(300);
  check();
  if (circumstances.rewindAtEnd > 0)
    journal.rewind(Math.max(0, journal.last - circumstances.rewindAtEnd));
  // It is proved by two beacons; then an answer may take a moment, and after one that could not be taken some more.
  await clock.pass(200);
  for (let second = 0; second < 8; second++) {
    beacon(journal.head);
    await clock.pass(1_000);
    check();
  }
  beacon(journal.head);
  await clock.pass(900);
  check();

  const { state, epoch, applied } = replica.status();
  if (state !== "live" || epoch !== journal.epoch || applied !== journal.last)
    violations.push(
      `ends ${state} at ${applied} of ${epoch}, not at ${journal.last} of ${journal.epoch}`,
    );
  if (table instanceof ReplaceTable)
    expect(
      same(table.bodies, expectedBodies(journal, table)),
      "ends with other bodies than the journal",
    );
  else
    for (const entry of journal.entries)
      expect(
        isPoison(entry) || entry.key === epochKey || table.holds(entry),
        `ends without ${entry.sequence}`,
      );
  expect(
    JSON.stringify(orders) === JSON.stringify(table.owed),
    `acknowledged ${JSON.stringify(orders)}, and owed ${JSON.stringify(table.owed)}`,
  );
  if (table.applied.length > 0) reached.add("applied");
  if (orders.length > 0) reached.add("order");
  if (table.loads.entries > 0) reached.add("load: entries");
  if (table.loads.dump > 0) reached.add("load: dump");
  if (table.spoils > 0) reached.add("dump that cannot be read");
  if (table.refusals.alone > 0) reached.add("poison alone");
  if (table.refusals.loaded > 0) reached.add("poison in a snapshot");

  await replica[Symbol.asyncDispose]();
  await clock.pass(10_000);
  expect(clock.timers === 0, "leaves a timer");
  return { violations: [...violations, ...table.violations], reached };
}

/** The last sound body of each key that the journal still knows. A poisoned last one leaves what was there before, if it was heard. */
function expectedBodies(journal: ModelJournal, table: ReplaceTable): Map<string, string> {
  const bodies = new Map<string, string>();
  for (const entry of journal.entries) {
    const { key, body } = entry;
    if (key === epochKey) continue;
    if (!isPoison(entry)) bodies.set(key, body);
    else if (journal.keyed && table.bodies.has(key)) bodies.set(key, table.bodies.get(key)!);
  }
  return bodies;
}

function same(one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): boolean {
  return one.size === other.size && [...one].every(([key, body]) => other.get(key) === body);
}
