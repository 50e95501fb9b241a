import { Service } from "@tocsin/shared/contract";
import type { Config, ServicePolicy } from "@tocsin/shared/contract";

/** The policy of each service of a config: one object a service, so that what is kept for it can be found by it. */
export function policiesOf(config: Config): (service: string) => ServicePolicy {
  const made = new Map<string, ServicePolicy>();
  return (name) => {
    let policy = made.get(name);
    if (policy === undefined) {
      const { timeouts, balance, circuit, retry } =
        (Object.hasOwn(config.services, name) ? config.services[name] : undefined) ??
        Service.parse({});
      policy = { service: name, timeouts, balance, circuit, retry };
      made.set(name, policy);
    }
    return policy;
  };
}
