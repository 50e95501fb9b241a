import type { BoundAddress } from "../listener/bind.ts";

/** Puts the service of a sidecar into the gateway, and takes it out. */
export interface Registrar {
  /** For people: `registered`, `unreachable` and so on. */
  readonly state: string;
  /** Registers, and from then on keeps the registration alive, until it is to be withdrawn. */
  announce(): void;
  /**
   * Takes it out of the gateway. Resolves when every live proxy has stopped sending, or there is nobody who could be told. Never
   * rejects.
   */
  withdraw(): Promise<void>;
}

/** @param listening where the sidecar takes requests for the service: that is what is registered */
export type StartRegistrar = (listening: BoundAddress) => Registrar;
