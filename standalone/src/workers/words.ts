/** What the primary and a worker say to each other. Both run the same release: a worker is started by its primary. */
import type { Address } from "@tocsin/shared";
import type { BusState, BusUnavailable, Headers } from "@tocsin/shared/bus";
import type { Epoch, JournalName, Sequence } from "@tocsin/shared/journal";
import type { MetricSamples } from "@tocsin/proxy";

type Payload = string | Uint8Array;

/** Why the bus did not do it. */
export interface Failure {
  readonly reason: BusUnavailable["kind"];
  readonly text: string;
}

/** What a worker asks of the bus. */
export type BusWish =
  | {
      readonly kind: "publish";
      readonly subject: string;
      readonly payload: Payload;
      readonly headers?: Headers;
    }
  | {
      readonly kind: "subscribe";
      readonly id: number;
      readonly subject: string;
      readonly queue?: string;
    }
  | { readonly kind: "unsubscribe"; readonly id: number }
  | {
      readonly kind: "ask";
      readonly id: number;
      readonly subject: string;
      readonly payload: Payload;
      readonly headers?: Headers;
      readonly timeoutMs: number;
    }
  /** It has heard what it asked for, or asks no longer. */
  | { readonly kind: "enough"; readonly id: number }
  /** The answer to a message. */
  | {
      readonly kind: "respond";
      readonly message: number;
      readonly payload: Payload;
      readonly headers?: Headers;
    }
  | { readonly kind: "flush"; readonly id: number }
  | { readonly kind: "reconnect"; readonly id: number };

/** What a worker hears of the bus. */
export type BusNews =
  | { readonly kind: "bus"; readonly state: BusState }
  | {
      readonly kind: "message";
      /** The subscription. */
      readonly id: number;
      /** By which it is answered. */
      readonly message: number;
      readonly subject: string;
      readonly payload: Uint8Array;
      readonly headers?: Headers;
    }
  | {
      readonly kind: "answer";
      readonly id: number;
      readonly subject: string;
      readonly payload: Uint8Array;
      readonly headers?: Headers;
    }
  /** A subscription, a flush, a reconnect is there; an answer is over. */
  | { readonly kind: "done"; readonly id: number }
  | { readonly kind: "failed"; readonly id: number; readonly failure: Failure };

/** Where a worker stands in a journal. */
export interface Standing {
  readonly epoch: Epoch | undefined;
  readonly applied: Sequence;
}

export type Standings = Readonly<Record<JournalName, Standing>>;

/** What a worker tells about itself. */
export interface WorkerState {
  /** It has a snapshot of every journal. */
  readonly hasSnapshot: boolean;
  readonly standings: Standings;
  /** Exchanges that are not over. */
  readonly active: number;
}

export type ToWorker =
  | BusNews
  /** Who lives answers, and says how it is. */
  | { readonly kind: "ping" }
  | { readonly kind: "listen"; readonly address: Address }
  /** It has all that the node has vouched for: it may let requests in. */
  | { readonly kind: "admit" }
  /** It is to finish what is in flight, and end. */
  | { readonly kind: "drain"; readonly noticeMs: number }
  | { readonly kind: "tell"; readonly id: number; readonly what: "samples" | "status" };

export type ToPrimary =
  | BusWish
  | { readonly kind: "pong"; readonly state: WorkerState }
  | { readonly kind: "listening"; readonly address: Address }
  /** It cannot go on, and ends. */
  | { readonly kind: "broken"; readonly text: string }
  | { readonly kind: "told"; readonly id: number; readonly told: unknown }
  /** Its last word: what it has counted. */
  | { readonly kind: "over"; readonly samples: readonly MetricSamples[] };
