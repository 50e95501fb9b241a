import type { Cancel, Clock, Milliseconds, WallTime } from "@tocsin/shared";
import type { Credential } from "@tocsin/shared/revocations";

/** What is open for long because it never ends by itself. */
export type StreamKind = "websocket" | "event-stream";

/** Why a stream ended: a label of metrics, and what the other side reads in a close frame (RFC 6455 §7.1.6). */
export type StreamEnd =
  /** Either side ended it as its protocol says. */
  | "closed"
  /** The client's connection broke, or stopped in the middle. */
  | "client-gone"
  /** The same of the service's. */
  | "upstream-gone"
  /** Nothing passed for too long. */
  | "idle"
  /** One side took nothing for too long of what was ready for it. */
  | "stalled"
  /** It was open for as long as it may be. */
  | "lifetime"
  | "message-too-large"
  | "protocol-error"
  /** This proxy stops. */
  | "shutdown"
  /** What it was let in with was taken back. */
  | "revoked"
  /** What it was let in with is over. */
  | "expired"
  /** Its address was shut out. */
  | "blocked"
  /** Whom it speaks for lacks a role or scope that the route needs. */
  | "forbidden"
  /** Nobody says whether whom it speaks for is still a user, and the route does not go without. */
  | "unavailable";

/** Whom a stream speaks for, as far as that is known. */
export interface StreamPrincipal {
  /** `none`: nobody in particular. */
  readonly method: string;
  readonly subject?: string;
  readonly issuer?: string;
  readonly session?: string;
  readonly client?: string;
  /** Unix seconds. */
  readonly expiresAt?: number;
  /** From then on it does not count any more, as far as clocks may be off, in Unix milliseconds. Absent: from `expiresAt` on. */
  readonly endsAt?: WallTime;
  /** What is asked of the revocations. */
  readonly credential?: Credential;
  /** Of an API key: the digest of the secret that was shown. */
  readonly keyDigest?: string;
}

/** One open stream. */
export interface Stream {
  readonly kind: StreamKind;
  readonly requestId: string;
  readonly principal: StreamPrincipal | undefined;
  readonly clientAddress: string;
  /** Route id. */
  readonly route: string;
  readonly service: string;
  readonly instance: string | undefined;
  /**
   * Begins to end it, as its kind does: a WebSocket by the closing handshake (RFC 6455 §7.1.2), an event stream by the proper end of
   * its body. Nothing happens when it is ending already.
   *
   * @param code of the close frame; event streams have no use for it
   */
  close(code: number, reason: StreamEnd): void;
}

/** A stopping proxy says this (RFC 6455 §7.4.1). */
export const goingAway = 1001;
/** For a WebSocket whose credential does not count any more. In the range for private use (RFC 6455 §7.4.2), after the status 401. */
export const unauthorized = 4401;
/** For one whose address was shut out, or who lacks a role now, after the status 403. */
export const forbidden = 4403;
/** For one about whom nobody can be asked: it may come back (IANA, WebSocket Close Code Number Registry). */
export const tryAgainLater = 1013;

/** How often some are closed while all are, in milliseconds. */
const paceMs: Milliseconds = 20;

/** The streams that are open on this proxy: who holds them is known, and they can be ended from outside. */
export class Streams implements Disposable {
  readonly #clock: Clock;
  readonly #counted: (kind: StreamKind, end: StreamEnd) => void;
  readonly #open = new Set<Stream>();
  /** Streams that open now are closed at once, with this. */
  #closingWith: number | undefined = undefined;
  #cancel: Cancel | undefined = undefined;
  #settle: (() => void) | undefined = undefined;

  /** @param counted called for each stream that ended */
  constructor(clock: Clock, counted: (kind: StreamKind, end: StreamEnd) => void) {
    this.#clock = clock;
    this.#counted = counted;
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  [Symbol.iterator](): Iterator<Stream> {
    return this.#open.values();
  }

  /** How many of one kind are open. */
  count(kind: StreamKind): number {
    let count = 0;
    for (const stream of this.#open) if (stream.kind === kind) count += 1;
    return count;
  }

  /** A stream began. */
  opened(stream: Stream): void {
    this.#open.add(stream);
    if (this.#closingWith !== undefined) stream.close(this.#closingWith, "shutdown");
  }

  /** It is over. Nothing happens when that was said before. */
  ended(stream: Stream, end: StreamEnd): void {
    if (this.#open.delete(stream)) this.#counted(stream.kind, end);
  }

  /** Ends those that this holds for. @returns how many */
  close(where: (stream: Stream) => boolean, code: number, reason: StreamEnd): number {
    let count = 0;
    for (const stream of this.#open) {
      if (!where(stream)) continue;
      count += 1;
      stream.close(code, reason);
    }
    return count;
  }

  /**
   * Ends all of them, because this proxy stops; and those that open later, at once.
   *
   * @param code of close frames: {@link goingAway}
   * @param staggerMs the ends are spread evenly over this time, so that not all clients come back in one moment; 0: at once
   * @returns when each was told; they are over when their connections are
   */
  closeAll(code: number, staggerMs: Milliseconds): Promise<void> {
    this.#closingWith = code;
    this.#stop();
    const waiting = [...this.#open];
    const { promise, resolve } = Promise.withResolvers<void>();
    const beganAt = this.#clock.monotonic();
    const step = (): boolean => {
      const spentMs = this.#clock.monotonic() - beganAt;
      const share = staggerMs <= 0 ? 1 : Math.min(1, spentMs / staggerMs);
      const until = Math.ceil(waiting.length * share);
      for (; told < until; told += 1) waiting[told]!.close(code, "shutdown");
      return told >= waiting.length;
    };
    let told = 0;
    this.#settle = resolve;
    if (step()) this.#stop();
    else
      this.#cancel = this.#clock.every(paceMs, () => {
        if (step()) this.#stop();
      });
    return promise;
  }

  /** Stops the timer; whoever waits for it waits no more. */
  [Symbol.dispose](): void {
    this.#stop();
  }

  #stop(): void {
    this.#cancel?.();
    this.#settle?.();
    this.#cancel = this.#settle = undefined;
  }
}
