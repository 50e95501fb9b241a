import { isIP } from "node:net";
import { shown } from "../shown.ts";

/** A block of addresses, as it can be told from any other: `10.0.0.0/8`, `2001:db8::/64`. */
export type Cidr = string;

/** 4 or 16 bytes as a number, and how many bits it has. */
interface Parsed {
  readonly value: bigint;
  readonly bits: 32 | 128;
}

const mapped = 0xffffn << 32n;
/** An IPv6 address alone is one of many that its owner has: the whole /64 is meant (RFC 4291 §2.5.4). */
const usualBits = { 32: 32, 128: 64 } as const;

/**
 * The one spelling of an address or block: an IPv4 address in IPv6 form is the IPv4 address, an IPv4 address alone is a /32, an IPv6
 * address alone its /64.
 *
 * @throws RangeError that says what is wrong, and what may have been meant
 */
export function cidrOf(text: string): Cidr {
  const [address = "", suffix, ...rest] = text.trim().split("/");
  const parsed = parse(address);
  if (parsed === undefined || rest.length > 0)
    throw new RangeError(
      `${shown(text)} is not an address or block: write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32`,
    );
  const { value, bits } = parsed;
  // `::ffff:10.0.0.0/104` counts the 96 bits in front.
  const extra = bits === 32 && address.includes(":") ? 96 : 0;
  const length = suffix === undefined ? usualBits[bits] : Number(suffix) - extra;
  if (suffix !== undefined && (!/^\d{1,3}$/.test(suffix) || length < 0 || length > bits))
    throw new RangeError(
      `${shown(text)} is not a block: the number behind the slash is ${extra} to ${bits + extra}`,
    );
  const network = masked(value, bits, length);
  if (suffix !== undefined && network !== value)
    throw new RangeError(
      `${shown(text)} has bits behind its prefix: the block is ${textOf(network, bits)}/${length}, the address alone ${textOf(value, bits)}`,
    );
  return `${textOf(network, bits)}/${length}`;
}

/** Whether a text is a block in its one spelling. */
export function isBlock(text: string): boolean {
  try {
    return cidrOf(text) === text;
  } catch {
    return false;
  }
}

/** How many leading bits the addresses of a block have in common, and of how many. */
export function prefixOf(cidr: Cidr): { readonly length: number; readonly of: 32 | 128 } {
  return { length: Number(cidr.slice(cidr.indexOf("/") + 1)), of: cidr.includes(":") ? 128 : 32 };
}

/** What the addresses of a block have in common. */
type Key = bigint | string;

/** Blocks of addresses; whether an address is in one of them costs one look for each length of prefix that there is. */
export class AddressBlocks {
  /** By length of prefix: until when each block holds, in Unix seconds. */
  readonly #families = {
    32: new Map<number, Map<Key, number>>(),
    128: new Map<number, Map<Key, number>>(),
  };
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /**
   * @param cidr as {@link cidrOf} spells it
   * @param until Unix seconds, the last one that it holds in. Default: for ever
   */
  set(cidr: Cidr, until = Infinity): void {
    const network = networkOf(cidr);
    // Nobody comes from what is no block. To throw here would be to refuse all the rest of a dump.
    if (network === undefined) return;
    const { bits, length, key } = network;
    const family = this.#families[bits];
    let networks = family.get(length);
    if (networks === undefined) family.set(length, (networks = new Map()));
    if (!networks.has(key)) this.#size += 1;
    networks.set(key, until);
  }

  delete(cidr: Cidr): void {
    const network = networkOf(cidr);
    if (network === undefined) return;
    const { bits, length, key } = network;
    const networks = this.#families[bits].get(length);
    if (networks?.delete(key) !== true) return;
    this.#size -= 1;
    if (networks.size === 0) this.#families[bits].delete(length);
  }

  /**
   * @param address in whatever spelling; what is none is in no block
   * @param now Unix seconds
   */
  has(address: string, now = 0): boolean {
    if (this.#size === 0) return false;
    const parsed = parse(address);
    if (parsed === undefined) return false;
    for (const [length, networks] of this.#families[parsed.bits])
      if (now <= (networks.get(keyOf(parsed, length)) ?? -1)) return true;
    return false;
  }
}

function networkOf(cidr: Cidr): { bits: 32 | 128; length: number; key: Key } | undefined {
  const slash = cidr.indexOf("/");
  const parsed = parse(cidr.slice(0, slash));
  if (parsed === undefined) return undefined;
  const length = Number(cidr.slice(slash + 1));
  return { bits: parsed.bits, length, key: keyOf(parsed, length) };
}

/**
 * The leading bits of an address. V8 hashes a bigint by its last 64 bits alone, so that a set of longer ones that end alike, or of
 * networks with their zeros behind, would be searched one by one.
 */
function keyOf({ value, bits }: Parsed, length: number): Key {
  const prefix = value >> BigInt(bits - length);
  return length <= 64 ? prefix : prefix.toString(36);
}

/** An IPv4 address in IPv6 form (RFC 4291 §2.5.5.2) is the IPv4 address. A zone (RFC 4007 §11) is of this machine alone. */
function parse(text: string): Parsed | undefined {
  const address = text.includes("%") ? text.slice(0, text.indexOf("%")) : text;
  switch (isIP(address)) {
    case 4:
      return { value: ofIpv4(address), bits: 32 };
    case 6: {
      const value = ofIpv6(address);
      return value >> 32n === mapped >> 32n
        ? { value: value & 0xffff_ffffn, bits: 32 }
        : { value, bits: 128 };
    }
    default:
      return undefined;
  }
}

function ofIpv4(address: string): bigint {
  let value = 0;
  for (const part of address.split(".")) value = value * 256 + Number(part);
  return BigInt(value);
}

/** @param address that `isIP` takes */
function ofIpv6(address: string): bigint {
  const [head = "", tail] = address.split("::");
  const front = groupsOf(head);
  const back = tail === undefined ? [] : groupsOf(tail);
  const zeros = Array.from({ length: 8 - front.length - back.length }, () => 0);
  let value = 0n;
  for (const group of [...front, ...zeros, ...back]) value = (value << 16n) | BigInt(group);
  return value;
}

function groupsOf(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (!group.includes(".")) return [Number.parseInt(group, 16)];
    const value = Number(ofIpv4(group));
    return [Math.floor(value / 65_536), value % 65_536];
  });
}

function masked(value: bigint, bits: 32 | 128, length: number): bigint {
  const rest = BigInt(bits - length);
  return (value >> rest) << rest;
}

/** RFC 5952 §4: lower case, no leading zeros, the longest run of zero groups left out. */
function textOf(value: bigint, bits: 32 | 128): string {
  if (bits === 32)
    return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 0xffn)).join(".");
  const groups = Array.from({ length: 8 }, (_, index) =>
    ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16),
  );
  let from = 0;
  let length = 0;
  for (let start = 0; start < 8; start += 1) {
    let end = start;
    while (end < 8 && groups[end] === "0") end += 1;
    if (end - start > length) [from, length] = [start, end - start];
  }
  if (length < 2) return groups.join(":");
  return `${groups.slice(0, from).join(":")}::${groups.slice(from + length).join(":")}`;
}
