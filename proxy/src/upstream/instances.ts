/** What an upstream engine needs to know about where a service answers. */
export interface UpstreamInstance {
  /** `<service>.<instance>.<boot>`: another life of an instance is another upstream, with connections of its own. */
  readonly key: string;
  readonly service: string;
  readonly instance: string;
  /** Origin: scheme, host, port. */
  readonly url: string;
  /** Connect here, whatever the host name resolves to. */
  readonly address?: string;
  readonly weight: number;
  /** Neither drains nor is gone. */
  readonly active: boolean;
  /** May get new requests: active in the catalogue, and healthy by its verdict. */
  readonly eligible: boolean;
}

/** The instances of the fleet as the replicas tell; a new immutable value at each change. */
export interface Instances {
  /** All known instances of a service; undefined when the service has none and is unknown. */
  of(service: string): readonly UpstreamInstance[] | undefined;
  services(): readonly string[];
}

/** Which life of the instance it is. */
export function bootOf({ key, service, instance }: UpstreamInstance): string {
  return key.slice(service.length + instance.length + 2);
}
