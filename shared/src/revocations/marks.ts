/**
 * What is taken back by a name: users, clients, signing keys, issuers, API keys, addresses; and what was lifted again, of these and of
 * tokens.
 *
 * Each name has a register that only ever moves forward: when it was revoked last, and when it was lifted last. The later one of the two
 * decides; in the same moment it is revoked. So it does not matter in which order, how often, or by which way they are heard, and
 * nothing comes back because somebody had not heard of its lifting yet.
 */

/** What a name is one of. Those of users stand under their issuer, or under none. */
export const namespaces = {
  client: "\u0000client",
  signingKey: "\u0000signing-key",
  issuer: "\u0000issuer",
  apiKey: "\u0000api-key",
  address: "\u0000address",
  /** Tokens and sessions that were lifted: only those have a register, the others are fingerprints alone. */
  lifted: "\u0000lifted",
} as const;

/** Whatever it is, it is taken back: there is no moment from which on it counts again. Unix seconds. */
export const always = 1e11;

/** One order: when it was given, in Unix milliseconds (0: before that was written down), and up to which moment it revokes. */
type Point = readonly [at: number, issuedBefore: number];

/** Of a client, a key or an address the moment is the end of the revocation itself. */
interface Register {
  /** When the order was given that reaches furthest, in Unix milliseconds. */
  at: number;
  /** Unix seconds; what was issued then or before does not count. -1: nothing is revoked. */
  issuedBefore: number;
  /** Later orders that reach less far: they count when those before them are lifted. Hardly ever there. */
  later: readonly Point[] | undefined;
  /** When it was lifted last, in Unix milliseconds. 0: never. */
  liftedAt: number;
  /** Unix seconds: what it could concern has ended. */
  expiresAt: number;
}

/**
 * A register as it is kept and sent: name, namespace or null (a user at every issuer), issued before, expires at; then, where they are not
 * 0, when that was ordered, and when it was lifted; then the later orders, two numbers each.
 */
export type DumpedMark = readonly [string, string | null, number, number, ...number[]];

/** Told of each name whose moment has changed, and what that is now; -1: it is not revoked any more. */
export type OnMark = (name: string, namespace: string | undefined, issuedBefore: number) => void;

export class Marks {
  readonly #everywhere = new Map<string, Register>();
  /** By namespace, then by name. */
  readonly #at = new Map<string, Map<string, Register>>();
  readonly #onMark: OnMark;

  constructor(onMark: OnMark = () => {}) {
    this.#onMark = onMark;
  }

  /** Registers held, those of what was lifted too. */
  get size(): number {
    let size = this.#everywhere.size;
    for (const registers of this.#at.values()) size += registers.size;
    return size;
  }

  /**
   * @param namespace undefined: a user at every issuer
   * @param at when it was ordered, in Unix milliseconds
   * @returns whether more is revoked than before
   */
  add(
    name: string,
    namespace: string | undefined,
    issuedBefore: number,
    expiresAt: number,
    at = 0,
  ): boolean {
    const register = this.#register(name, namespace);
    register.expiresAt = Math.max(register.expiresAt, expiresAt);
    if (at < register.liftedAt) return false;
    const before = register.issuedBefore;
    if (register.later === undefined && at >= register.at && issuedBefore >= before) {
      // The usual case: the first order, or a later one that reaches further.
      register.at = at;
      register.issuedBefore = issuedBefore;
    } else settle(register, [...pointsOf(register), [at, issuedBefore]]);
    if (register.issuedBefore === before) return false;
    this.#onMark(name, namespace, register.issuedBefore);
    return register.issuedBefore > before;
  }

  /**
   * What was revoked before this moment counts again.
   *
   * @param at in Unix milliseconds
   * @param expiresAt Unix seconds: until then somebody may not have heard of it
   * @returns whether that is news
   */
  lift(name: string, namespace: string | undefined, at: number, expiresAt: number): boolean {
    const register = this.#register(name, namespace);
    register.expiresAt = Math.max(register.expiresAt, expiresAt);
    if (at <= register.liftedAt) return false;
    register.liftedAt = at;
    const before = register.issuedBefore;
    settle(register, pointsOf(register));
    if (register.issuedBefore !== before) this.#onMark(name, namespace, register.issuedBefore);
    return true;
  }

  /** Takes over what somebody else holds. @returns whether anything is new */
  take(mark: DumpedMark): boolean {
    const [name, namespace, , expiresAt] = mark;
    const where = namespace ?? undefined;
    const { liftedAt, points } = read(mark);
    let isNews = liftedAt > 0 && this.lift(name, where, liftedAt, expiresAt);
    for (const [at, issuedBefore] of points)
      isNews = this.add(name, where, issuedBefore, expiresAt, at) || isNews;
    return isNews;
  }

  /** Whether a token of this subject and issuer, issued then, no longer counts. */
  covers(subject: string, issuer: string, issuedAt: number): boolean {
    // The very second of the mark is covered, whatever fraction of it the issuer wrote down.
    const second = Math.floor(issuedAt);
    const everywhere = this.#everywhere.get(subject);
    if (everywhere !== undefined && second <= everywhere.issuedBefore) return true;
    return this.has(subject, issuer, second);
  }

  /** Whether this name is revoked. @param second in Unix seconds: when what bears it was issued; of what has an end itself, now */
  has(name: string, namespace: string, second = 0): boolean {
    const register = this.#at.get(namespace)?.get(name);
    return register !== undefined && second <= register.issuedBefore;
  }

  /** When a name was revoked or lifted last, in Unix milliseconds. 0: never. */
  lastChange(name: string, namespace: string | undefined): number {
    const register = this.#find(name, namespace);
    if (register === undefined) return 0;
    return Math.max(register.liftedAt, ...pointsOf(register).map(([at]) => at));
  }

  /** When a name was lifted last, in Unix milliseconds. 0: never. */
  liftedAt(name: string, namespace: string | undefined): number {
    return this.#find(name, namespace)?.liftedAt ?? 0;
  }

  /** Whether there is a register of this name. */
  knows(name: string, namespace: string): boolean {
    return this.#find(name, namespace) !== undefined;
  }

  /** Up to which moment each name of a namespace is revoked. */
  *moments(namespace: string | undefined): Generator<number> {
    const registers = namespace === undefined ? this.#everywhere : this.#at.get(namespace);
    for (const { issuedBefore } of registers?.values() ?? []) yield issuedBefore;
  }

  /** Has a name remembered until then at least, in Unix seconds. */
  keep(name: string, namespace: string, expiresAt: number): void {
    const register = this.#find(name, namespace);
    if (register !== undefined) register.expiresAt = Math.max(register.expiresAt, expiresAt);
  }

  /** The names of a namespace, those that were lifted too. */
  names(namespace: string): Iterable<string> {
    return this.#at.get(namespace)?.keys() ?? [];
  }

  /** Whether all that a register says is known here, and will not be forgotten earlier. */
  includes(mark: DumpedMark): boolean {
    const [name, namespace, , expiresAt] = mark;
    const register = this.#find(name, namespace ?? undefined);
    const { liftedAt, points } = read(mark);
    if (register === undefined || register.liftedAt < liftedAt || register.expiresAt < expiresAt)
      return false;
    const mine = pointsOf(register);
    return points.every(
      (point) => point[0] < register.liftedAt || mine.some((other) => outdoes(other, point)),
    );
  }

  /** Forgets what expired before `now` (Unix seconds). @returns how many */
  sweep(now: number): number {
    let forgotten = this.#sweep(this.#everywhere, undefined, now);
    for (const [namespace, registers] of this.#at) {
      forgotten += this.#sweep(registers, namespace, now);
      if (registers.size === 0) this.#at.delete(namespace);
    }
    return forgotten;
  }

  *dump(): Generator<DumpedMark> {
    for (const [name, register] of this.#everywhere) yield dumped(name, null, register);
    for (const [namespace, registers] of this.#at)
      for (const [name, register] of registers) yield dumped(name, namespace, register);
  }

  #find(name: string, namespace: string | undefined): Register | undefined {
    return (namespace === undefined ? this.#everywhere : this.#at.get(namespace))?.get(name);
  }

  #register(name: string, namespace: string | undefined): Register {
    let registers = namespace === undefined ? this.#everywhere : this.#at.get(namespace);
    if (registers === undefined) this.#at.set(namespace!, (registers = new Map()));
    let register = registers.get(name);
    if (register === undefined) registers.set(name, (register = unrevoked()));
    return register;
  }

  #sweep(registers: Map<string, Register>, namespace: string | undefined, now: number): number {
    let forgotten = 0;
    for (const [name, register] of registers) {
      if (register.expiresAt >= now) continue;
      registers.delete(name);
      forgotten += 1;
      if (register.issuedBefore >= 0) this.#onMark(name, namespace, -1);
    }
    return forgotten;
  }
}

const unrevoked = (): Register => ({
  at: 0,
  issuedBefore: -1,
  later: undefined,
  liftedAt: 0,
  expiresAt: 0,
});

function pointsOf({ at, issuedBefore, later }: Register): Point[] {
  return issuedBefore < 0 ? [] : [[at, issuedBefore], ...(later ?? [])];
}

/** Given no earlier, and reaching as far. */
function outdoes(one: Point, other: Point): boolean {
  return one[0] >= other[0] && one[1] >= other[1];
}

/** What is left of these orders when those that were lifted are gone, and those that another one outdoes. */
function settle(register: Register, points: readonly Point[]): void {
  const rest = points
    .filter(([at]) => at >= register.liftedAt)
    .toSorted((a, b) => b[1] - a[1] || b[0] - a[0]);
  const left: Point[] = [];
  for (const point of rest) if (!left.some((other) => outdoes(other, point))) left.push(point);
  const [first, ...later] = left;
  register.at = first?.[0] ?? 0;
  register.issuedBefore = first?.[1] ?? -1;
  register.later = later.length === 0 ? undefined : later;
}

function read([, , issuedBefore, , at = 0, liftedAt = 0, ...later]: DumpedMark): {
  readonly liftedAt: number;
  readonly points: readonly Point[];
} {
  const points: Point[] = issuedBefore < 0 ? [] : [[at, issuedBefore]];
  for (let index = 0; index + 1 < later.length; index += 2)
    points.push([later[index]!, later[index + 1]!]);
  return { liftedAt, points };
}

function dumped(
  name: string,
  namespace: string | null,
  { issuedBefore, expiresAt, at, liftedAt, later }: Register,
): DumpedMark {
  const more =
    later !== undefined
      ? [at, liftedAt, ...later.flat()]
      : liftedAt > 0
        ? [at, liftedAt]
        : at > 0
          ? [at]
          : [];
  return [name, namespace, issuedBefore, expiresAt, ...more];
}
