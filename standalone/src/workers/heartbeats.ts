/** One heartbeat out of those of a node's processes: nothing is said that does not hold for all of them. */
import type { JournalReport, ProxyHeartbeat } from "@tocsin/shared/contract";
import { journalNames, ofEachJournal } from "@tocsin/shared/journal";

/** From the best to the worst. */
const states = ["live", "suspect", "stale", "syncing", "cold"] as const;
const maxRefused = 16;

/** @param own of the process that keeps the node's state; @param others of those that take requests */
export function nodeHeartbeat(
  own: ProxyHeartbeat,
  others: readonly ProxyHeartbeat[],
): ProxyHeartbeat {
  const all = [own, ...others];
  return {
    ...own,
    journals: ofEachJournal((name) => together(all.map(({ journals }) => journals[name]))),
  };
}

/** Whether two heartbeats say the same, but for what always changes. */
export function sameStanding(one: ProxyHeartbeat, other: ProxyHeartbeat): boolean {
  return journalNames.every((name) => {
    const { stalenessMs: _one, head: _oneHead, ...first } = one.journals[name];
    const { stalenessMs: _other, head: _otherHead, ...second } = other.journals[name];
    return JSON.stringify(first) === JSON.stringify(second);
  });
}

function together(reports: readonly JournalReport[]): JournalReport {
  const [first, ...more] = reports;
  if (more.length === 0) return first!;
  const head = Math.max(...reports.map((report) => report.head));
  const worst = Math.max(...reports.map(({ state }) => states.indexOf(state)));
  // In two histories at once: a number of one means nothing in the other.
  if (more.some(({ epoch }) => epoch !== first!.epoch))
    return { applied: 0, head, state: states[Math.max(worst, states.indexOf("syncing"))]! };
  const ages = reports.map(({ stalenessMs }) => stalenessMs);
  const known = ages.filter((age) => age !== undefined);
  const poisoned = poison(reports);
  return {
    ...(first!.epoch === undefined ? {} : { epoch: first!.epoch }),
    applied: Math.min(...reports.map(({ applied }) => applied)),
    head,
    state: states[worst]!,
    ...(known.length < ages.length ? {} : { stalenessMs: Math.max(...known) }),
    ...(poisoned === undefined ? {} : { poisoned }),
  };
}

function poison(reports: readonly JournalReport[]): JournalReport["poisoned"] {
  const each = reports.flatMap(({ poisoned }) => (poisoned === undefined ? [] : [poisoned]));
  if (each.length === 0) return undefined;
  const last = each.reduce((one, other) => (other.sequence > one.sequence ? other : one));
  const refused = [
    ...new Set(each.flatMap(({ recent, sequence }) => recent ?? [sequence])),
  ].toSorted((one, other) => one - other);
  return {
    ...last,
    count: Math.max(refused.length, ...each.map(({ count }) => count)),
    recent: refused.slice(-maxRefused),
  };
}
