import { describe, expect, test } from "vitest";
import { checkUrl, type Resolve } from "./url-policy.ts";

const names: Readonly<Record<string, readonly string[]>> = {
  "app.internal": ["10.1.2.3"],
  "app.public": ["203.0.113.7"],
  "metadata.internal": ["169.254.169.254"],
  "both.internal": ["10.1.2.3", "203.0.113.7"],
  "mapped.internal": ["::ffff:169.254.169.254"],
  "six.internal": ["fd00::7"],
};
const resolve: Resolve = (host) =>
  names[host] ? Promise.resolve(names[host]) : Promise.reject(new Error("ENOTFOUND"));

const check = (url: string, rules?: Parameters<typeof checkUrl>[2]) =>
  checkUrl("users", url, rules, resolve);

describe("without rules", () => {
  test.each([
    ["http://127.0.0.1:8001", undefined],
    ["http://127.8.9.10", undefined],
    ["https://[::1]:8443", undefined],
    ["http://10.0.0.1:80", undefined],
    ["http://172.16.0.1", undefined],
    ["http://172.31.255.255", undefined],
    ["http://192.168.1.1:9", undefined],
    ["http://[fd00::1]:1", undefined],
    ["http://[::ffff:10.0.0.1]", undefined],
    ["http://app.internal:8001", "10.1.2.3"],
    ["http://six.internal", "fd00::7"],
  ])(
    "%s may be registered; a name is pinned to the address that was checked",
    async (url, address) => {
      expect(await check(url)).toEqual({ address });
    },
  );

  test.each([
    "http://169.254.169.254",
    "http://[::ffff:169.254.169.254]",
    "http://[fe80::1]",
    "http://0.0.0.0:8001",
    "http://0.1.2.3",
    "http://[::]",
    "http://224.0.0.1",
    "http://255.255.255.255",
    "http://[ff02::1]",
    // Metadata of clouds at private addresses.
    "http://[fd00:ec2::254]",
    "http://[fd00:ec2:0:0:0:0:0:254]:80",
    "http://[fd20:ce::254]",
    "http://[fd00:c1::a9fe:a9fe]",
    "http://8.8.8.8",
    "http://172.32.0.1",
    "http://11.0.0.1",
    "http://[2001:db8::1]",
    // Other spellings of 169.254.169.254 and 8.8.8.8: the URL parser makes addresses of them.
    "http://2852039166",
    "http://0xa9fea9fe",
    "http://0x8080808",
    "http://0251.0376.0251.0376",
    "http://8.8.2056",
    "http://app.public",
    "http://metadata.internal",
    "http://mapped.internal",
    // One good address does not excuse a bad one.
    "http://both.internal",
  ])("%s may not", async (url) => {
    await expect(check(url)).rejects.toMatchObject({ status: 403, code: "url-not-allowed" });
  });

  test("a name that does not resolve is told so", async () => {
    await expect(check("http://nowhere.internal")).rejects.toMatchObject({
      status: 422,
      code: "url-not-resolvable",
    });
  });
});

describe("with rules", () => {
  const rules = [
    { service: "users", urls: ["http://10.1.0.0/16:8001", "https://app.public:443"] },
    { service: "payments", urls: ["http://10.0.0.0/8:*"] },
  ];
  test.each(["http://10.1.9.9:8001", "https://app.public", "http://app.internal:8001"])(
    "%s is allowed",
    async (url) => {
      await expect(check(url, rules)).resolves.toBeDefined();
    },
  );
  test.each([
    ["another port", "http://10.1.9.9:8002"],
    ["another scheme", "https://10.1.9.9:8001"],
    ["another block", "http://10.2.0.1:8001"],
    ["another service's rule", "http://10.9.9.9:80"],
    ["this machine, when nobody said so", "http://127.0.0.1:8001"],
    ["the address of an allowed name", "https://203.0.113.7"],
  ])("%s is not", async (_what, url) => {
    await expect(check(url, rules)).rejects.toMatchObject({ status: 403 });
  });
  test("a service that no rule names may not register anywhere", async () => {
    await expect(checkUrl("content", "http://10.1.9.9:8001", rules, resolve)).rejects.toMatchObject(
      { status: 403 },
    );
  });
  test("what is never allowed stays so, whatever the rules say", async () => {
    const open = [{ service: "*" as const, urls: ["http://0.0.0.0/0:*", "http://[::]/0:*"] }];
    for (const url of [
      "http://169.254.169.254",
      "http://[::ffff:a9fe:a9fe]",
      "http://[fe80::1]",
      "http://100.100.100.200",
      "http://168.63.129.16",
    ])
      await expect(check(url, open), url).rejects.toMatchObject({ status: 403 });
    await expect(check("http://8.8.8.8", open)).resolves.toBeDefined();
  });
});
