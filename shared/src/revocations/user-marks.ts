/** Moments before which no token of a subject counts. */
interface Mark {
  /** Unix seconds. */
  issuedBefore: number;
  /** Unix seconds: the last token that it could concern has expired. */
  expiresAt: number;
}

/** A mark as it is kept and sent: subject, issuer or null for every issuer, issued before, expires at. */
export type DumpedMark = readonly [string, string | null, number, number];

/** For each subject, at one issuer or at all, since when its tokens count again. */
export class UserMarks {
  readonly #everywhere = new Map<string, Mark>();
  /** By issuer, then by subject. */
  readonly #at = new Map<string, Map<string, Mark>>();

  get size(): number {
    let size = this.#everywhere.size;
    for (const marks of this.#at.values()) size += marks.size;
    return size;
  }

  /** A mark only ever moves forward. @returns whether it did */
  add(
    subject: string,
    issuer: string | undefined,
    issuedBefore: number,
    expiresAt: number,
  ): boolean {
    let marks = issuer === undefined ? this.#everywhere : this.#at.get(issuer);
    if (marks === undefined) this.#at.set(issuer!, (marks = new Map()));
    const mark = marks.get(subject);
    if (mark === undefined) {
      marks.set(subject, { issuedBefore, expiresAt });
      return true;
    }
    const later = issuedBefore > mark.issuedBefore;
    mark.issuedBefore = Math.max(mark.issuedBefore, issuedBefore);
    mark.expiresAt = Math.max(mark.expiresAt, expiresAt);
    return later;
  }

  /** Whether a token of this subject and issuer, issued then, no longer counts. */
  covers(subject: string, issuer: string, issuedAt: number): boolean {
    // The very second of the mark is covered, whatever fraction of it the issuer wrote down.
    const second = Math.floor(issuedAt);
    const everywhere = this.#everywhere.get(subject);
    if (everywhere !== undefined && second <= everywhere.issuedBefore) return true;
    const here = this.#at.get(issuer)?.get(subject);
    return here !== undefined && second <= here.issuedBefore;
  }

  /** Whether this mark, or one that goes beyond it, is there and will not be forgotten earlier. */
  includes([subject, issuer, issuedBefore, expiresAt]: DumpedMark): boolean {
    const marks = issuer === null ? this.#everywhere : this.#at.get(issuer);
    const mark = marks?.get(subject);
    return mark !== undefined && mark.issuedBefore >= issuedBefore && mark.expiresAt >= expiresAt;
  }

  /** Forgets what expired before `now` (Unix seconds). @returns how many */
  sweep(now: number): number {
    let forgotten = sweepMarks(this.#everywhere, now);
    for (const [issuer, marks] of this.#at) {
      forgotten += sweepMarks(marks, now);
      if (marks.size === 0) this.#at.delete(issuer);
    }
    return forgotten;
  }

  *dump(): Generator<DumpedMark> {
    for (const [subject, mark] of this.#everywhere)
      yield [subject, null, mark.issuedBefore, mark.expiresAt];
    for (const [issuer, marks] of this.#at)
      for (const [subject, mark] of marks)
        yield [subject, issuer, mark.issuedBefore, mark.expiresAt];
  }
}

function sweepMarks(marks: Map<string, Mark>, now: number): number {
  let forgotten = 0;
  for (const [subject, mark] of marks) {
    if (mark.expiresAt >= now) continue;
    marks.delete(subject);
    forgotten += 1;
  }
  return forgotten;
}
