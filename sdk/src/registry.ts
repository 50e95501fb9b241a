import type { Lease, RegistrationInput } from "@tocsin/shared/contract";

/** What the control plane grants: how often to come back, in milliseconds. */
export interface Grant {
  readonly renewMs: number;
  readonly sequence: Lease["sequence"] | undefined;
}

/** What the proxies did with a deregistration. */
export interface Departure {
  /** Proxies that have not said in time that they stopped sending. */
  readonly missing: readonly string[];
}

/**
 * The control plane's side of a lease, as one instance sees it. Two adapters: HTTP and NATS.
 *
 * Every call rejects with `RegistrationRefused` when the answer is no, and with `RegistrationUnavailable` when there is none.
 */
export interface Registry extends AsyncDisposable {
  /** Where it is, for messages. Without credentials. */
  readonly place: string;
  register(registration: RegistrationInput): Promise<Grant>;
  renew(boot: string): Promise<Grant>;
  /** Resolves when every live proxy has stopped sending, or the control plane waits no longer. */
  deregister(boot: string): Promise<Departure>;
  /** Called when the way to the control plane was away and is back. */
  onReturn(listener: () => void): void;
}

/** How long to wait for an answer, in milliseconds. Deregistering waits for every proxy, the others for one write. */
export const patience = { register: 5_000, renew: 3_000, deregister: 8_000 } as const;
