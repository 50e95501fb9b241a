import { toName } from "../names.ts";
import type { Config } from "./config.ts";
import type { InstanceEntry } from "./entries.ts";
import { protocolVersion } from "./messages.ts";

/** The instances that the config names, in the shape of those that register themselves. Their life (`boot`) is their URL. */
export function staticInstances(config: Config): InstanceEntry[] {
  return Object.entries(config.services).flatMap(([service, { instances }]) => {
    const names = new Set<string>();
    return instances.map((instance, index): InstanceEntry => {
      let name = toName(URL.parse(instance.url)?.host ?? "") ?? `instance-${index}`;
      if (names.has(name)) name = `instance-${index}`;
      names.add(name);
      return {
        v: protocolVersion,
        kind: "instance",
        service,
        instance: name,
        boot: instance.url.slice(0, 64),
        url: instance.url,
        weight: instance.weight,
        ...(instance.zone === undefined ? {} : { zone: instance.zone }),
        state: "active",
      };
    });
  });
}
