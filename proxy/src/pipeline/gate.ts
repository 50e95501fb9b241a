import type { Received } from "./exchange.ts";
import type { Next } from "./pipeline.ts";

/** One config as the listener meets it. */
export interface Gate {
  readonly handle: Next<Received>;
  /** In bytes. */
  readonly limits: {
    /** All request fields together. */
    readonly headers: number;
    /** The request target. */
    readonly uri: number;
    /** The request body; undefined: no limit. */
    readonly body?: number | undefined;
  };
  /** Whether what a peer says about the client is believed. */
  readonly trusts: (address: string) => boolean;
}
