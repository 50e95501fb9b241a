/**
 * Durations, sizes and addresses as people write them in the config.
 */
import { BlockList, isIP } from "node:net";
import { z } from "zod";
import { parseDuration } from "../time.ts";
import { shown } from "../shown.ts";

/** Text such as `250ms`, `30s`, `15m`, `24h`; becomes milliseconds. */
export function Duration(bounds: { min?: string; max?: string } = {}) {
  const minMs = parseDuration(bounds.min ?? "0ms") ?? 0;
  const maxMs = parseDuration(bounds.max ?? "365d") ?? Infinity;
  return z
    .string()
    .transform((text, context) => {
      const durationMs = parseDuration(text);
      if (durationMs === undefined) {
        context.addIssue({
          code: "custom",
          message: `${shown(text)} is not a duration: write 250ms, 30s, 15m, 24h or 7d`,
        });
        return z.NEVER;
      }
      if (durationMs < minMs || durationMs > maxMs) {
        context.addIssue({
          code: "custom",
          message: `${text} is out of range: ${bounds.min ?? "0ms"} to ${bounds.max ?? "365d"}`,
        });
        return z.NEVER;
      }
      return durationMs;
    })
    .describe(
      `A duration (250ms, 30s, 15m, 24h), ${bounds.min ?? "0ms"} to ${bounds.max ?? "365d"}.`,
    );
}

const sizeUnits: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};

/** Reads `16KiB`, `10MiB`, `512B`. Returns undefined when the text is none of these. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+)(B|KiB|MiB|GiB)$/.exec(text);
  return match ? Number(match[1]) * sizeUnits[match[2]!]! : undefined;
}

/** Text such as `16KiB`, `10MiB`; becomes bytes. */
export function Size(bounds: { min: string; max: string }) {
  const min = parseSize(bounds.min)!;
  const max = parseSize(bounds.max)!;
  return z
    .string()
    .transform((text, context) => {
      const bytes = parseSize(text);
      if (bytes === undefined) {
        context.addIssue({
          code: "custom",
          message: `${shown(text)} is not a size: write 16KiB, 10MiB or 1GiB`,
        });
        return z.NEVER;
      }
      if (bytes < min || bytes > max) {
        context.addIssue({
          code: "custom",
          message: `${text} is out of range: ${bounds.min} to ${bounds.max}`,
        });
        return z.NEVER;
      }
      return bytes;
    })
    .describe(`A size (16KiB, 10MiB), ${bounds.min} to ${bounds.max}.`);
}

/** Text such as `20%`; becomes a share, 0 to 1. */
export function Percentage(bounds: { min: number; max: number }) {
  return z
    .string()
    .transform((text, context) => {
      const percent = /^\d{1,3}(\.\d{1,3})?%$/.test(text) ? Number(text.slice(0, -1)) : Number.NaN;
      if (percent >= bounds.min && percent <= bounds.max) return percent / 100;
      context.addIssue({
        code: "custom",
        message: Number.isNaN(percent)
          ? `${shown(text)} is not a percentage: write 20%`
          : `${text} is out of range: ${bounds.min}% to ${bounds.max}%`,
      });
      return z.NEVER;
    })
    .describe(`A percentage (20%), ${bounds.min}% to ${bounds.max}%.`);
}

/** Whether a text is an address (`10.0.0.1`, `::1`) or a block of them (`10.0.0.0/8`). */
export function isAddressBlock(text: string): boolean {
  const [address = "", bits, ...rest] = text.split("/");
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  if (bits === undefined) return true;
  return /^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128);
}

export const AddressBlock = z
  .string()
  .refine(isAddressBlock, {
    error: (issue) =>
      `${shown(issue.input)} is not an address or block: write 10.0.0.0/8, 192.0.2.7 or fd00::/8`,
  })
  .describe("An IPv4 or IPv6 address, or a block of them in CIDR notation.");

/** A set of addresses out of texts that passed {@link AddressBlock}. An IPv4 address in IPv6 form is the same address. */
export function addressSet(blocks: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const block of blocks) {
    const [address = "", bits] = block.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => {
    const plain = unmapped(address);
    return list.check(plain, isIP(plain) === 6 ? "ipv6" : "ipv4");
  };
}

/** `::ffff:192.0.2.7` is `192.0.2.7`. */
export function unmapped(address: string): string {
  const match = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  return match ? match[1]! : address;
}
