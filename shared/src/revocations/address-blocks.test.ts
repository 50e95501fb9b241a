import fc from "fast-check";
import { BlockList } from "node:net";
import { describe, expect, test } from "vitest";
import { AddressBlocks, cidrOf, prefixOf } from "./address-blocks.ts";

describe("a block has one spelling", () => {
  test.each([
    ["192.0.2.7", "192.0.2.7/32"],
    ["192.0.2.7/32", "192.0.2.7/32"],
    ["10.0.0.0/8", "10.0.0.0/8"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["::ffff:192.0.2.7", "192.0.2.7/32"],
    ["::FFFF:c000:207", "192.0.2.7/32"],
    ["0:0:0:0:0:ffff:192.0.2.7", "192.0.2.7/32"],
    ["::ffff:10.0.0.0/104", "10.0.0.0/8"],
    ["2001:db8::1", "2001:db8::/64"],
    ["2001:DB8:0:0:1:2:3:4", "2001:db8::/64"],
    ["2001:db8::1/128", "2001:db8::1/128"],
    ["2001:db8::/32", "2001:db8::/32"],
    ["fe80::1%eth0", "fe80::/64"],
    ["::/0", "::/0"],
    ["::1", "::/64"],
    ["1:0:0:2:0:0:0:3/128", "1:0:0:2::3/128"],
    ["1:0:2:0:3:0:4:0/128", "1:0:2:0:3:0:4:0/128"],
    [" 192.0.2.7 ", "192.0.2.7/32"],
  ])("%s is %s", (text, cidr) => {
    expect(cidrOf(text)).toBe(cidr);
    expect(cidrOf(cidr)).toBe(cidr);
  });

  test.each([
    ["10.1.2.3/8", /10\.0\.0\.0\/8.*10\.1\.2\.3/],
    ["2001:db8::1/32", /2001:db8::\/32/],
    ["192.0.2.7/33", /0 to 32/],
    ["::ffff:10.0.0.0/8", /96 to 128/],
    ["2001:db8::/129", /0 to 128/],
    ["192.0.2.7/", /0 to 32/],
    ["192.0.2.7/a", /0 to 32/],
    ["192.0.2.7/8/8", /not an address/],
    ["192.0.2", /not an address/],
    ["192.0.2.256", /not an address/],
    ["0192.0.2.1", /not an address/],
    ["localhost", /not an address/],
    ["", /not an address/],
    ["1::2::3", /not an address/],
  ])("%j is none", (text, why) => {
    expect(() => cidrOf(text)).toThrow(why);
  });

  test("and tells how much it is", () => {
    expect(prefixOf("10.0.0.0/8")).toEqual({ length: 8, of: 32 });
    expect(prefixOf("2001:db8::/32")).toEqual({ length: 32, of: 128 });
  });
});

describe("an address is in a block", () => {
  const blocks = (...texts: string[]) => {
    const all = new AddressBlocks();
    for (const text of texts) all.set(cidrOf(text));
    return all;
  };

  test("in whatever spelling", () => {
    const all = blocks("192.0.2.7", "2001:db8::1", "10.0.0.0/8");
    for (const address of [
      "192.0.2.7",
      "::ffff:192.0.2.7",
      "::FFFF:C000:0207",
      "0:0:0:0:0:ffff:c000:207",
      "2001:db8::",
      "2001:0DB8:0000:0000:ffff::1",
      "2001:db8::2%3",
      "10.255.255.255",
      "::ffff:10.9.8.7",
    ])
      expect(all.has(address)).toBe(true);
    for (const address of [
      "192.0.2.8",
      "2001:db8:0:1::1",
      "11.0.0.0",
      "::192.0.2.7",
      "unknown",
      "",
      "_hidden",
    ])
      expect(all.has(address)).toBe(false);
  });

  test("until that is taken out, another one may have it too", () => {
    const all = blocks("10.0.0.0/8", "10.1.0.0/16");
    all.delete("10.0.0.0/8");
    all.delete("10.0.0.0/8");
    expect([all.size, all.has("10.1.2.3"), all.has("10.2.0.0")]).toEqual([1, true, false]);
    all.delete("10.1.0.0/16");
    expect([all.size, all.has("10.1.2.3")]).toEqual([0, false]);
  });

  // Where those that begin or end alike are searched one by one, this does not end within its time.
  test.each([
    ["IPv4 addresses", (at: number) => `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`, "/32"],
    [
      "IPv6 networks",
      (at: number) => `2001:db8:${at >> 16}:${(at & 65_535).toString(16)}::`,
      "/64",
    ],
    ["IPv6 hosts", (at: number) => `2001:db8:${at >> 16}:${(at & 65_535).toString(16)}::1`, "/128"],
  ] as const)("also of a hundred thousand %s", (_, address, length) => {
    const all = new AddressBlocks();
    const addresses = Array.from({ length: 100_000 }, (_none, at) => address(at));
    for (const text of addresses) all.set(`${text}${length}`);
    expect(all.size).toBe(100_000);
    expect(addresses.filter((text) => !all.has(text))).toEqual([]);
    expect(all.has("10.200.0.1") || all.has("2001:db9::1")).toBe(false);
  });

  test("as another implementation says", () => {
    const ipv6 = fc.array(fc.constantFrom(0, 1, 0xdb8, 0xffff, 0x2001), {
      minLength: 8,
      maxLength: 8,
    });
    const ipv4 = fc.array(fc.constantFrom(0, 1, 10, 127, 255), { minLength: 4, maxLength: 4 });
    const address = fc.oneof(
      // Not below ::/1: the other one counts IPv4 addresses among those of `::/0`, here that is IPv6 alone.
      ipv6.map(([, ...groups]) => ["8db8", ...groups.map((group) => group.toString(16))].join(":")),
      ipv4.map((parts) => parts.join(".")),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(address, fc.nat(128)), { maxLength: 8 }),
        fc.array(address, { maxLength: 20 }),
        (networks, asked) => {
          const list = new BlockList();
          const all = new AddressBlocks();
          for (const [text, length] of networks) {
            const is6 = text.includes(":");
            const bits = is6 ? Math.max(1, length) : length % 33;
            list.addSubnet(text, bits, is6 ? "ipv6" : "ipv4");
            try {
              all.set(cidrOf(`${text}/${bits}`));
            } catch (error) {
              // The error says which block it is.
              const block = /the block is (\S+),/.exec((error as Error).message)?.[1];
              all.set(cidrOf(block!));
            }
          }
          for (const text of asked)
            expect(all.has(text)).toBe(list.check(text, text.includes(":") ? "ipv6" : "ipv4"));
        },
      ),
    );
  });
});
