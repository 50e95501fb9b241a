/** The audit page by page, out of the store. */
import { shown } from "@tocsin/shared";
import {
  auditOutcomes,
  AuditRecord,
  type AuditPage,
  type AuditView,
} from "@tocsin/shared/contract";
import type { WallTime } from "@tocsin/shared";
import type { Ledger, Recorded, Sequence } from "@tocsin/shared/journal";
import { Declined } from "../problem.ts";

export interface AuditQuery {
  readonly limit: number;
  /** Newest first, of those before this position. Undefined: from the newest one on. */
  readonly before?: Sequence;
  /** Oldest first, of those behind this position. */
  readonly after?: Sequence;
  readonly filter: AuditFilter;
}

/** What a list is narrowed down to; each that is given must fit. */
export interface AuditFilter {
  readonly since?: WallTime;
  readonly until?: WallTime;
  readonly action?: string;
  readonly outcome?: string;
  readonly who?: string;
}

/** The parameters of the query, each with what it is. */
export const auditParameters = {
  limit: "How many: 1 to 1,000. Default 100.",
  before: "Newest first, of those before this position: `next` of the page before.",
  after: "Oldest first, of those behind this position; 0 for the oldest one.",
  since: "Only from this moment on: an ISO 8601 date, or Unix milliseconds.",
  until: "Only up to this moment.",
  action: "Only this action: an `operationId`, such as revoke.",
  outcome: `Only with this outcome: ${auditOutcomes.join(", ")}.`,
  who: "Only by this one, such as service:users; or a beginning, such as service.",
};

const defaultLimit = 100;
const maxLimit = 1_000;

/** @throws Declined 400 when one of them is not understood */
export function auditQueryOf(query: Readonly<Record<string, unknown>>): AuditQuery {
  const { action, outcome, who } = query;
  if (query["before"] !== undefined && query["after"] !== undefined)
    throw new Declined(400, "bad-request", "Both before and after are given", {
      detail: "before goes from new to old, after from old to new.",
    });
  if (outcome !== undefined && !auditOutcomes.some((known) => known === outcome))
    throw unclear("outcome", outcome, auditOutcomes.join(", "));
  const text = (name: string, value: unknown) => {
    if (value === undefined) return {};
    if (typeof value !== "string" || value === "") throw unclear(name, value, "one text");
    return { [name]: value };
  };
  return {
    limit: numberOf("limit", query["limit"], 1, maxLimit) ?? defaultLimit,
    ...given("before", numberOf("before", query["before"], 0, Number.MAX_SAFE_INTEGER)),
    ...given("after", numberOf("after", query["after"], 0, Number.MAX_SAFE_INTEGER)),
    filter: {
      ...given("since", momentOf("since", query["since"])),
      ...given("until", momentOf("until", query["until"])),
      ...text("action", action),
      ...text("outcome", outcome),
      ...text("who", who),
    },
  };
}

const given = (name: string, value: number | undefined) =>
  value === undefined ? {} : { [name]: value };

function momentOf(name: string, value: unknown): WallTime | undefined {
  if (value === undefined) return undefined;
  const moment =
    typeof value !== "string"
      ? NaN
      : /^\d{1,15}$/.test(value)
        ? Number(value)
        : /^\d{4}-\d\d-\d\d/.test(value)
          ? Date.parse(value)
          : NaN;
  if (Number.isNaN(moment))
    throw unclear(name, value, "an ISO 8601 date such as 2026-01-31T12:00:00Z, Unix milliseconds");
  return moment;
}

function numberOf(name: string, value: unknown, least: number, most: number): number | undefined {
  if (value === undefined) return undefined;
  const number = typeof value === "string" && /^\d{1,16}$/.test(value) ? Number(value) : NaN;
  if (number >= least && number <= most) return number;
  throw unclear(name, value, `a whole number from ${least} to ${most}`);
}

function unclear(name: string, found: unknown, allowed: string): Declined {
  return new Declined(400, "bad-request", `The parameter ${name} is not understood`, {
    detail: `Found ${shown(found)}, allowed: ${allowed}.`,
  });
}

/** Records read for one page, however many of them fit. */
const maxRead = 50_000;
/** Records read at once on the way back, at most: as many as are asked for at first, then more. */
const longestStep = 1_000;
/** How much later than its moment a record may have been kept, in milliseconds: the store was away, or clocks differ. */
const lateMs = 86_400_000;

/** @throws JournalUnavailable */
export function pageOf(ledger: Ledger, query: AuditQuery): Promise<AuditPage> {
  return query.after === undefined ? backwards(ledger, query) : onwards(ledger, query, query.after);
}

async function backwards(ledger: Ledger, query: AuditQuery): Promise<AuditPage> {
  const { limit, before, filter } = query;
  const { head } = await ledger.head();
  const page = new Page(filter);
  let end = Math.min(head, (before ?? Infinity) - 1);
  let step = limit;
  for (let read = 0; end >= 1 && read < maxRead; read += step) {
    if (read > 0) step = longestStep;
    const from = Math.max(1, end - step + 1);
    const found: Recorded[] = [];
    for await (const recorded of ledger.read(from, end - from + 1)) {
      // Older ones are gone: what is read begins with the oldest that is kept.
      if (recorded.sequence > end) break;
      found.push(recorded);
    }
    for (const recorded of found.toReversed()) {
      page.take(recorded);
      if (page.isOver) return page.done();
      if (page.records.length === limit)
        return recorded.sequence > 1 ? page.done(recorded.sequence) : page.done();
    }
    if (found.length === 0) return page.done();
    end = from - 1;
  }
  return end >= 1 ? page.done(end + 1) : page.done();
}

async function onwards(ledger: Ledger, query: AuditQuery, after: Sequence): Promise<AuditPage> {
  const { limit, filter } = query;
  const page = new Page(filter);
  let last = after;
  for await (const recorded of ledger.read(after + 1, maxRead)) {
    page.take(recorded);
    last = recorded.sequence;
    if (page.records.length === limit) break;
  }
  // Whoever follows goes on from here, whatever the filter has left out.
  return page.done(last);
}

class Page {
  readonly records: AuditView[] = [];
  /** All that is further back is older than what was asked for. */
  isOver = false;
  readonly #filter: AuditFilter;
  #unreadable = 0;

  constructor(filter: AuditFilter) {
    this.#filter = filter;
  }

  take({ body, sequence }: Recorded): void {
    const read = AuditRecord.safeParse(jsonOf(body));
    if (!read.success) {
      this.#unreadable += 1;
      return;
    }
    const { v, ...record } = read.data;
    void v;
    if (fits(record, this.#filter)) this.records.push({ position: sequence, ...record });
    else this.isOver = record.at < (this.#filter.since ?? 0) - lateMs;
  }

  done(next?: Sequence): AuditPage {
    return {
      records: this.records,
      ...(next === undefined ? {} : { next }),
      ...(this.#unreadable === 0 ? {} : { unreadable: this.#unreadable }),
    };
  }
}

function fits(record: Omit<AuditView, "position">, filter: AuditFilter): boolean {
  const { since, until, action, outcome, who } = filter;
  return (
    (since === undefined || record.at >= since) &&
    (until === undefined || (record.since ?? record.at) <= until) &&
    (action === undefined || record.action === action) &&
    (outcome === undefined || record.outcome === outcome) &&
    (who === undefined || record.who === who || record.who.startsWith(`${who}:`))
  );
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
