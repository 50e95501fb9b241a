/**
 * What each user of a production bus may say and hear, when every proxy, service, control plane and operator has a user of its own:
 * the rules of `nats.conf`, with the name in each place where that has a wildcard.
 */

export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

export type Role = "control-plane" | "proxy" | "service" | "operator";

export const roles: readonly Role[] = ["control-plane", "proxy", "service", "operator"];

/** @param name a name, or `{{name()}}` where the server fills it in from a JWT */
export function permissionsOf(role: Role, name: string): Permissions {
  switch (role) {
    case "control-plane":
      return {
        publish: [
          "$JS.API.STREAM.INFO.*",
          "$JS.API.STREAM.CREATE.*",
          "$JS.API.STREAM.MSG.GET.*",
          "$JS.API.CONSUMER.CREATE.*",
          "$JS.API.CONSUMER.MSG.NEXT.*.*",
          "$JS.API.CONSUMER.DELETE.*.*",
          "tocsin.v1.log.>",
          "tocsin.v1.beacon",
          `tocsin.v1.heartbeat.control-plane.${name}`,
          "tocsin.v1.proxy.*",
          "_INBOX_px.>",
          "_INBOX_op.>",
          "_INBOX_svc.>",
        ],
        subscribe: ["tocsin.v1.>", `_INBOX_cp.${name}.>`],
      };
    case "proxy":
      return {
        publish: [
          "tocsin.v1.sync.*",
          `tocsin.v1.heartbeat.proxy.${name}`,
          `tocsin.v1.ack.*.${name}`,
          `tocsin.v1.report.${name}`,
          `tocsin.v1.held.${name}`,
        ],
        subscribe: [
          "tocsin.v1.feed.>",
          "tocsin.v1.beacon",
          "tocsin.v1.proxy.*",
          `_INBOX_px.${name}.>`,
        ],
      };
    case "service":
      return {
        publish: ["register", "renew", "deregister"].map((verb) => `tocsin.v1.${verb}.${name}.*`),
        subscribe: [`_INBOX_svc.${name}.>`],
      };
    case "operator":
      return { publish: ["tocsin.v1.operate.>"], subscribe: [`_INBOX_op.${name}.>`] };
    default:
      return role satisfies never;
  }
}

/**
 * A sidecar is a proxy that registers its service, on one connection.
 *
 * @param name of the node
 * @param service the one beside which it stands
 */
export function sidecarPermissionsOf(name: string, service: string): Permissions {
  const { publish } = permissionsOf("service", service);
  return union([permissionsOf("proxy", name), { publish, subscribe: [] }]);
}

/** A service that signs people in: it makes, lists and ends sessions, of anybody. */
export function signInPermissionsOf(service: string): Permissions {
  const { publish, subscribe } = permissionsOf("service", service);
  return { publish: [...publish, `tocsin.v1.session.*.${service}`], subscribe };
}

/** What several may, each once: a leaf server's user at the hub, which bounds everybody behind the leaf. */
export function union(all: readonly Permissions[]): Permissions {
  return {
    publish: [...new Set(all.flatMap(({ publish }) => publish))],
    subscribe: [...new Set(all.flatMap(({ subscribe }) => subscribe))],
  };
}
