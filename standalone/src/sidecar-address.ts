import { networkInterfaces } from "node:os";
import { formatAddress, type Settings } from "@tocsin/shared";
import type { BoundAddress } from "@tocsin/proxy";

type Interfaces = ReturnType<typeof networkInterfaces>;

/**
 * Where other proxies reach a sidecar: what the setting says, else the address on which it listens. One that listens on every address
 * is reached at the first that is not loopback (IPv4 before IPv6), and at loopback when there is no other.
 */
export function advertisedUrl(
  { TOCSIN_ADVERTISE_URL }: Pick<Settings, "TOCSIN_ADVERTISE_URL">,
  { host, port }: BoundAddress,
  interfaces: Interfaces = networkInterfaces(),
): string {
  if (TOCSIN_ADVERTISE_URL !== undefined) return TOCSIN_ADVERTISE_URL;
  const isEverywhere = host === "0.0.0.0" || host === "::";
  return `http://${formatAddress({ host: isEverywhere ? outward(host, interfaces) : host, port })}`;
}

function outward(host: string, interfaces: Interfaces): string {
  const addresses = Object.values(interfaces)
    .flatMap((found) => found ?? [])
    // A link-local address means something on one link only, and nobody may register it.
    .filter(
      ({ internal, address }) =>
        !internal && !/^fe[89ab]/i.test(address) && !address.startsWith("169.254."),
    );
  const version4 = addresses.find(({ family }) => family === "IPv4");
  // Who listens on 0.0.0.0 is not there for IPv6.
  const found = version4 ?? (host === "::" ? addresses[0] : undefined);
  return found?.address ?? "127.0.0.1";
}
