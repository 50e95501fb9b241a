import type { Milliseconds } from "@tocsin/shared";
import type { Received } from "./exchange.ts";
import type { Next } from "./pipeline.ts";

/** One config as the listener meets it. */
export interface Gate {
  readonly handle: Next<Received>;
  /** Sizes in bytes. */
  readonly limits: {
    /** All request fields together. */
    readonly headers: number;
    /** The request target. */
    readonly uri: number;
    /** The request body; undefined: no limit. */
    readonly body?: number | undefined;
    /** Time in which a request's head must arrive. */
    readonly headersTimeoutMs: Milliseconds;
    /** Connections that one client address may hold at the same time. Trusted peers may hold any number. */
    readonly connectionsPerAddress: number;
  };
  /** Whether what a peer says about the client is believed. */
  readonly trusts: (address: string) => boolean;
}
