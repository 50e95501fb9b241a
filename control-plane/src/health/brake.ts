/**
 * The safety brake: when much of what a node looks after seems to die at once, it asks first whether it is the node
 * (docs/design/decisions/0017-is-it-me.md).
 */
import type { Clock, Log, Milliseconds, NodeName } from "@tocsin/shared";
import type { InstanceEntry } from "@tocsin/shared/contract";
import type { Opinion, Peers } from "../leader/peers.ts";
import type { Evidence } from "./evidence.ts";

export interface BrakeOptions {
  readonly peers: Pick<Peers, "ask" | "onOpinion" | "others">;
  readonly evidence: Pick<Evidence, "answersTo">;
  readonly clock: Clock;
  readonly log: Log;
}

/** How long the other nodes have to look for themselves, in milliseconds. */
const opinionMs: Milliseconds = 1_000;

interface Waiting {
  readonly instance: InstanceEntry;
  /** Nodes that may still answer. */
  readonly open: Set<NodeName>;
  readonly done: (against: string | undefined) => void;
}

export class Brake implements Disposable {
  readonly #options: BrakeOptions;
  readonly #waiting = new Map<string, Waiting>();
  readonly #stop: () => void;
  #asking = false;

  constructor(options: BrakeOptions) {
    this.#options = options;
    this.#stop = options.peers.onOpinion((node, opinion) => this.#hear(node, opinion));
  }

  /**
   * Whether somebody reaches an instance that this node does not. Takes at most a second.
   *
   * @returns who does; undefined when nobody does, or nobody can say
   */
  async contradicted(instance: InstanceEntry): Promise<string | undefined> {
    const { evidence, peers, clock } = this.#options;
    const proxy = evidence.answersTo(instance.service, instance.instance);
    if (proxy !== undefined) return `${proxy} gets answers from it`;
    const others = peers.others();
    if (others.length === 0) return undefined;
    const key = keyOf(instance);
    return new Promise((resolve) => {
      const done = (against: string | undefined) => {
        cancel();
        this.#waiting.delete(key);
        resolve(against);
      };
      const cancel = clock.after(opinionMs, () => done(undefined));
      this.#waiting.set(key, { instance, open: new Set(others), done });
      this.#askSoon();
    });
  }

  [Symbol.dispose](): void {
    this.#stop();
    for (const { done } of this.#waiting.values()) done(undefined);
  }

  /** Many die at the same time: they are asked about in one message. */
  #askSoon(): void {
    if (this.#asking) return;
    this.#asking = true;
    this.#options.clock.after(20, () => {
      this.#asking = false;
      this.#options.peers.ask(
        [...this.#waiting.values()].map(({ instance }) => [
          instance.service,
          instance.instance,
          instance.boot,
        ]),
      );
    });
  }

  #hear(node: NodeName, { service, instance, boot, well }: Opinion): void {
    const waiting = this.#waiting.get(`${service}.${instance}.${boot}`);
    if (waiting === undefined) return;
    if (well) return waiting.done(`${node} reaches it`);
    waiting.open.delete(node);
    if (waiting.open.size === 0) waiting.done(undefined);
  }
}

function keyOf({ service, instance, boot }: InstanceEntry): string {
  return `${service}.${instance}.${boot}`;
}
