import type { Cancel, Clock, Milliseconds, NodeName } from "@tocsin/shared";
import { subjects, type Bus } from "@tocsin/shared/bus";
import { protocolVersion, type ProxyReport } from "@tocsin/shared/contract";

/** Time between two reports, in milliseconds. */
const everyMs: Milliseconds = 2_000;
/** Time that several instances that fail at the same moment are waited for, in milliseconds. */
const urgentMs: Milliseconds = 100;
/** Time that several circuits that change at the same moment are waited for, in milliseconds. */
const atOnceMs: Milliseconds = 2;
/** Instances in one report. */
const inOneReport = 1_000;
/** Circuits in a report. With more in trouble the fleet has other worries. */
const circuitsAtMost = 5_000;

export interface FindingsOptions {
  readonly node: NodeName;
  readonly bus: Bus;
  readonly clock: Clock;
  /** What requests found out about instances since the last report. */
  readonly take: () => ProxyReport["instances"];
  /** The circuits that are not closed. */
  readonly circuits: () => NonNullable<ProxyReport["circuits"]>;
}

/** Tells the control plane what requests found out about instances: every two seconds, soon after one begins to fail, and at once when a circuit
 * changes. */
export class Findings implements Disposable {
  readonly #options: FindingsOptions;
  readonly #stop: Cancel;
  #urgent: Cancel | undefined;
  #atOnce: Cancel | undefined;
  /** The last report told of circuits: when there are none any more, that is told once. */
  #told = false;

  constructor(options: FindingsOptions) {
    this.#options = options;
    this.#stop = options.clock.every(everyMs, () => this.#report());
  }

  /** Something happened that should be known soon. */
  urge(): void {
    this.#urgent ??= this.#options.clock.after(urgentMs, () => {
      this.#urgent = undefined;
      this.#report();
    });
  }

  /** The circuit of an instance is in another state: others may want to know before they send it a request. */
  circuitChanged(): void {
    this.#atOnce ??= this.#options.clock.after(atOnceMs, () => {
      this.#atOnce = undefined;
      this.#report();
    });
  }

  [Symbol.dispose](): void {
    this.#stop();
    this.#urgent?.();
    this.#atOnce?.();
  }

  #report(): void {
    const { node, bus, take } = this.#options;
    const instances = take();
    const circuits = this.#options.circuits().slice(0, circuitsAtMost);
    const worthIt = circuits.length > 0 || this.#told;
    this.#told = circuits.length > 0;
    const end = Math.max(instances.length, worthIt ? 1 : 0);
    for (let at = 0; at < end; at += inOneReport) {
      const report: ProxyReport = {
        v: protocolVersion,
        proxy: node,
        instances: instances.slice(at, at + inOneReport),
        circuits,
      };
      bus.publish(subjects.report(node), JSON.stringify(report));
    }
  }
}
