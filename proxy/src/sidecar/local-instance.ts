import type { ServiceName } from "@tocsin/shared";
import type { Instances, UpstreamInstance } from "../upstream/instances.ts";

/** The world as the inbound side of a sidecar sees it: one service, and of that one instance, whatever the catalogue says. */
export class LocalInstance {
  readonly #well: Instances;
  readonly #ill: Instances;
  #eligible = false;

  /** @param url scheme, host and port of the instance */
  constructor(service: ServiceName, url: string) {
    this.#well = worldOf(service, url, true);
    this.#ill = worldOf(service, url, false);
  }

  /** Whether it gets requests. At first it does not. */
  get eligible(): boolean {
    return this.#eligible;
  }

  set eligible(eligible: boolean) {
    this.#eligible = eligible;
  }

  /** Another value when {@link eligible} changed, else the same. */
  readonly instances = (): Instances => (this.#eligible ? this.#well : this.#ill);
}

function worldOf(service: ServiceName, url: string, eligible: boolean): Instances {
  const list: readonly UpstreamInstance[] = [
    {
      key: `${service}.local.sidecar`,
      service,
      instance: "local",
      url,
      weight: 1,
      active: true,
      eligible,
    },
  ];
  return { of: (name) => (name === service ? list : undefined), services: () => [service] };
}
