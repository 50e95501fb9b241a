/** What the requests of all workers found out about instances, as one proxy. */
import type { Cancel, Clock, Milliseconds } from "@tocsin/shared";
import type { ProxyReport } from "@tocsin/shared/contract";

type Finding = ProxyReport["instances"][number];

interface Heard {
  readonly at: Milliseconds;
  readonly findings: Map<string, Finding>;
}

/** Workers report every 2 s, and what is urgent at once; what one said longer ago says nothing. */
const freshMs: Milliseconds = 2_500;
/** Several that report in one moment are said in one word, in milliseconds. */
const togetherMs: Milliseconds = 5;

export class WorkersFindings implements Disposable {
  readonly #clock: Clock;
  readonly #say: (findings: Finding[]) => void;
  readonly #heard = new Map<string, Heard>();
  #due: Cancel | undefined;

  constructor(clock: Clock, say: (findings: Finding[]) => void) {
    this.#clock = clock;
    this.#say = say;
  }

  heard(member: string, findings: readonly Finding[]): void {
    const at = this.#clock.monotonic();
    const keyed = findings.map((finding) => [`${finding.service}.${finding.instance}`, finding]);
    const before = this.#heard.get(member);
    // A long report comes in pieces.
    const first = before !== undefined && at - before.at < togetherMs ? before.findings : [];
    this.#heard.set(member, {
      at,
      findings: new Map([...first, ...(keyed as [string, Finding][])]),
    });
    this.#due ??= this.#clock.after(togetherMs, () => {
      this.#due = undefined;
      this.#say(this.#sum());
    });
  }

  /** A worker is gone. */
  forget(member: string): void {
    this.#heard.delete(member);
  }

  [Symbol.dispose](): void {
    this.#due?.();
  }

  #sum(): Finding[] {
    const sums = new Map<string, Finding>();
    const now = this.#clock.monotonic();
    for (const { at, findings } of this.#heard.values()) {
      if (now - at > freshMs) continue;
      for (const [key, finding] of findings) {
        const other = sums.get(key);
        const { answered, failed } = finding;
        sums.set(
          key,
          other === undefined
            ? finding
            : { ...other, answered: other.answered + answered, failed: other.failed + failed },
        );
      }
    }
    return [...sums.values()];
  }
}
