/** Where an instance may be: a registration must not turn the gateway into a way to other places. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { ServiceName } from "@tocsin/shared";
import { addressSet, unmapped, type Config } from "@tocsin/shared/contract";
import { Declined } from "../problem.ts";

type Rules = NonNullable<Config["discovery"]["register"]>;

/** Without rules in the config: this machine and private networks. */
const defaultRules: Rules = [
  {
    service: "*",
    urls: [
      "127.0.0.0/8",
      "[::1]/128",
      "10.0.0.0/8",
      "172.16.0.0/12",
      "192.168.0.0/16",
      "[fc00::]/7",
    ].flatMap((block) => [`http://${block}:*`, `https://${block}:*`]),
  },
];

/**
 * Never, whatever the rules say: "this network", link-local (cloud metadata lives there), multicast, broadcast, and their IPv6 kin
 * (RFC 6890). Some clouds keep their metadata at other addresses, among them private ones: what answers there hands out credentials.
 */
const never = addressSet([
  "0.0.0.0/8",
  "169.254.0.0/16",
  "224.0.0.0/4",
  "255.255.255.255/32",
  "::/128",
  "fe80::/10",
  "ff00::/8",
  // Amazon, Google and Oracle over IPv6; Alibaba; Azure's host.
  "fd00:ec2::254",
  "fd20:ce::254",
  "fd00:c1::a9fe:a9fe",
  "100.100.100.200",
  "168.63.129.16",
]);

export type Resolve = (host: string) => Promise<readonly string[]>;

const systemResolve: Resolve = async (host) =>
  (await lookup(host, { all: true })).map(({ address }) => address);

/**
 * Checks where an instance wants to be reached.
 *
 * @returns the address to connect to: the one that was checked, so that a name cannot point elsewhere afterwards
 * @throws Declined 403 when no rule allows it, 422 when the name does not resolve
 */
export async function checkUrl(
  service: ServiceName,
  text: string,
  rules: Rules | undefined,
  resolve: Resolve = systemResolve,
): Promise<{ readonly address: string | undefined }> {
  const url = new URL(text);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  const applying = (rules ?? defaultRules).filter(
    (rule) => rule.service === "*" || rule.service === service,
  );
  const allowed = applying.flatMap(({ urls }) => urls);
  if (allowed.length === 0)
    throw refused(service, text, "no rule under discovery.register names this service");

  const literal = isIP(host) !== 0;
  const addresses = literal ? [host] : await resolved(host, resolve);
  for (const address of addresses.map(unmapped)) {
    if (never(address)) throw refused(service, text, `${address} is never allowed`);
    if (!allowed.some((rule) => matches(rule, url.protocol, host, address, port))) {
      throw refused(
        service,
        text,
        `${literal ? "" : `${host} is ${address}, and `}no rule allows it; allowed: ${allowed.slice(0, 12).join(", ")}`,
      );
    }
  }
  return { address: literal ? undefined : unmapped(addresses[0]!) };
}

async function resolved(host: string, resolve: Resolve): Promise<readonly string[]> {
  try {
    const addresses = await resolve(host);
    if (addresses.length > 0) return addresses;
  } catch (cause) {
    throw new Declined(422, "url-not-resolvable", "The host name of the URL does not resolve", {
      detail: host,
      cause,
    });
  }
  throw new Declined(422, "url-not-resolvable", "The host name of the URL does not resolve", {
    detail: host,
  });
}

function matches(
  rule: string,
  protocol: string,
  host: string,
  address: string,
  port: string,
): boolean {
  const match = /^(https?:)\/\/(\[[^\]]+\]|[^/:]+)(?:\/(\d+))?:(\*|\d+)$/.exec(rule);
  if (!match) return false;
  const [, scheme, place = "", bits, rulePort] = match;
  if (scheme !== protocol || (rulePort !== "*" && rulePort !== port)) return false;
  const plain = place.replace(/^\[|\]$/g, "");
  if (isIP(plain) !== 0)
    return addressSet([bits === undefined ? plain : `${plain}/${bits}`])(address);
  return plain.startsWith("*.") ? host.endsWith(plain.slice(1)) : plain === host;
}

function refused(service: ServiceName, url: string, why: string): Declined {
  return new Declined(403, "url-not-allowed", "An instance may not be registered there", {
    detail: `${service} at ${url}: ${why}`,
  });
}
