import type { ProbeResult } from "./probe.ts";

export interface Thresholds {
  /** Good probes in a row that bring an unhealthy instance back. */
  readonly healthyAfter: number;
  /** Bad probes in a row that take a healthy instance out. */
  readonly unhealthyAfter: number;
}

export type Verdict = "healthy" | "unhealthy";

/** Makes a verdict out of probes. The first one decides at once: a new instance waits for it. */
export class Judgement {
  verdict: Verdict | undefined;
  reason: string | undefined;
  #good = 0;
  #bad = 0;

  /** @param verdict what was decided before, by this node or another one */
  constructor(verdict?: Verdict) {
    this.verdict = verdict;
  }

  /** Thought to be healthy, but the last probe was not good. */
  get failing(): boolean {
    return this.verdict === "healthy" && this.#bad > 0;
  }

  note(result: ProbeResult, { healthyAfter, unhealthyAfter }: Thresholds): void {
    if (result.well) {
      this.#good++;
      this.#bad = 0;
    } else {
      this.#bad++;
      this.#good = 0;
      this.reason = result.reason;
    }
    if (this.verdict === undefined) this.verdict = result.well ? "healthy" : "unhealthy";
    else if (this.verdict === "unhealthy" && this.#good >= healthyAfter) this.verdict = "healthy";
    else if (this.verdict === "healthy" && this.#bad >= unhealthyAfter) this.verdict = "unhealthy";
    if (this.verdict === "healthy") this.reason = undefined;
  }
}
