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
    /** Longest pause within a request body. */
    readonly bodyTimeoutMs: Milliseconds;
    /** How long a client may take nothing of a reply that is ready. */
    readonly writeTimeoutMs: Milliseconds;
    /** Connections that one client address may hold at the same time. Trusted peers may hold any number. */
    readonly connectionsPerAddress: number;
  };
  /** Whether clients with this address are shut out. */
  readonly isBlocked: (address: string) => boolean;
  /** Whether what a peer says about the client is believed. */
  readonly trusts: (address: string) => boolean;
}
