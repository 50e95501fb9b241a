/** Many revocations in one order: everything is checked, then everything is written, and the list shows all of it. */
import { SignJWT } from "jose";
import { systemClock } from "@tocsin/shared";
import { BatchRevocation, type RevocationPage } from "@tocsin/shared/contract";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import type { Journals, Recorded } from "@tocsin/shared/journal";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startTestNode, type TestNode } from "../testing/node.ts";

let stack: AsyncDisposableStack;
let node: TestNode;
let journals: Journals;

const secret = "a secret that is long enough for HS256";
const source = `version: 1\nidentity: { issuers: [{ issuer: me, audience: us, algorithms: [HS256], secret: "${secret}" }] }\n`;
const token = (claims: Record<string, unknown>, key = secret) =>
  new SignJWT({ iss: "me", aud: "us", sub: "alice", ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(key));
const jtis = (count: number, prefix = "jti") =>
  Array.from({ length: count }, (_, index) => ({
    kind: "token",
    issuer: "me",
    jti: `${prefix}-${index}`,
    expiresAt: 1e11,
  }));

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  const bus = stack.use(createEmbeddedBus());
  ({ journals } = stack.use(await openEmbeddedStore(":memory:", { bus, clock: systemClock })));
  node = stack.use(await startTestNode({ source, store: { bus, journals } }));
});
afterEach(() => stack.disposeAsync());

const post = (body: unknown, query = "?wait=0", headers = {}) =>
  node.call("POST", `/v1/revocations${query}`, body, headers);
async function recorded(): Promise<Recorded[]> {
  const entries: Recorded[] = [];
  for await (const entry of journals.revocations.read(1, 100_000)) entries.push(entry);
  return entries;
}
async function page(query = ""): Promise<RevocationPage> {
  return (await node.call("GET", `/v1/revocations${query}`)).json() as unknown as RevocationPage;
}

describe("an order of many", () => {
  test("of 10,000 is one answer, and entries of which each fits everywhere", async () => {
    const answer = await post({ revocations: jtis(10_000), reason: "leaked" });
    expect(answer.status).toBe(202);
    const entries = await recorded();
    expect(answer.json()).toMatchObject({ count: 10_000, sequence: entries.at(-1)!.sequence });
    const batches = entries.map(({ body }) => BatchRevocation.parse(JSON.parse(body)));
    const items = batches.flatMap((batch) => batch.items);
    expect(items).toHaveLength(10_000);
    expect(new Set(items.map(({ id }) => id)).size).toBe(10_000);
    expect(items.every(({ reason }) => reason === "leaked")).toBe(true);
    for (const { body } of entries) expect(Buffer.byteLength(body)).toBeLessThanOrEqual(256 * 1024);
  });

  test("of texts that are as long as they may be is cut by bytes", async () => {
    const long = (count: number) =>
      Array.from({ length: count }, (_, index) => ({
        kind: "token",
        issuer: "\u{1F514}".repeat(256),
        jti: `${index}`.padStart(512, "\u0001"),
        reason: "\u2028".repeat(200),
      }));
    expect((await post({ revocations: long(300) })).status).toBe(202);
    const entries = await recorded();
    expect(entries.length).toBeGreaterThan(1);
    for (const { body } of entries) expect(Buffer.byteLength(body)).toBeLessThanOrEqual(256 * 1024);
    expect((await page()).revocations).toHaveLength(300);
  });

  test("may mix all forms; tokens are reduced, expired ones too, and are nowhere", async () => {
    const text = await token({ jti: "by-token", exp: 4e9 });
    const expired = await token({ jti: "expired", exp: 1 });
    const answer = await post({
      revocations: [
        { token: text, reason: "lost" },
        { token: expired },
        { kind: "user", subject: "bob" },
        ...jtis(1),
      ],
    });
    expect(answer.json()).toMatchObject({ count: 4, sequence: 1 });
    // What has expired is in the entry, so that it does not hang on the moment, and not in the list.
    expect(await page()).toMatchObject({
      revocations: [
        {
          kind: "token",
          jti: "by-token",
          issuer: "me",
          expiresAt: 4e9,
          reason: "lost",
          sequence: 1,
        },
        { kind: "user", subject: "bob", sequence: 1 },
        { kind: "token", jti: "jti-0", sequence: 1 },
      ],
    });
    const [entry] = await recorded();
    expect(entry!.body).toContain('"jti":"expired"');
    expect(JSON.stringify([entry, node.lines])).not.toContain(text.split(".")[2]);
  });

  test("comes one a line, too", async () => {
    const lines = [...jtis(2), { kind: "user", subject: "bob" }].map((each) =>
      JSON.stringify(each),
    );
    const type = { "content-type": "application/x-ndjson; charset=utf-8" };
    const answer = await post(`${lines.join("\n")}\n\n`, "?wait=0", type);
    expect(answer.json()).toMatchObject({ count: 3 });
    expect((await page()).revocations).toHaveLength(3);
  });
});

describe("nothing is revoked when one is wrong", () => {
  const cases: [string, unknown, { pointer: string; message: RegExp }[]][] = [
    [
      "has no jti",
      { kind: "token", issuer: "me" },
      [{ pointer: "/revocations/2/jti", message: /string/ }],
    ],
    [
      "has a jti that is too long",
      { kind: "token", issuer: "me", jti: "x".repeat(513) },
      [{ pointer: "/revocations/2/jti", message: /512/ }],
    ],
    [
      "is of the future",
      { kind: "user", subject: "bob", issuedBefore: 1e10 },
      [{ pointer: "/revocations/2/issuedBefore", message: /future/ }],
    ],
    [
      "is of a kind that there is not",
      { kind: "device", device: "x" },
      [{ pointer: "/revocations/2/kind", message: /token.*address/ }],
    ],
    [
      "blocks half of the world",
      { kind: "address", cidr: "0.0.0.0/1" },
      [{ pointer: "/revocations/2/cidr", message: /force/ }],
    ],
    [
      "is a block with bits behind its prefix",
      { kind: "address", cidr: "10.1.2.3/8" },
      [{ pointer: "/revocations/2/cidr", message: /10\.0\.0\.0\/8/ }],
    ],
    [
      "is a token of nobody",
      { token: "e30.e30.e30" },
      [{ pointer: "/revocations/2/token", message: /issuer/ }],
    ],
    [
      "names its own operation",
      { kind: "user", subject: "bob", operation: "one" },
      [{ pointer: "/revocations/2", message: /operation/ }],
    ],
    ["is nothing", null, [{ pointer: "/revocations/2", message: /./ }]],
  ];

  test.each(cases)("because it %s", async (_what, wrong, places) => {
    const answer = await post({ revocations: [...jtis(2), wrong] });
    expect(answer.json()).toMatchObject({ status: 422, code: "validation-failed" });
    const errors = answer.json().errors!;
    expect(errors).toHaveLength(places.length);
    for (const [index, { pointer, message }] of places.entries()) {
      expect(errors[index]!.pointer).toBe(pointer);
      expect(errors[index]!.message).toMatch(message);
    }
    expect(await recorded()).toEqual([]);
  });

  test("every place is told, with its line where it came by lines", async () => {
    const good = JSON.stringify(jtis(1)[0]);
    const type = { "content-type": "application/x-ndjson" };
    const forged = await token({ jti: "one", exp: 4e9 }, "x".repeat(32));
    const lines = ['{"token":"w"}', "", JSON.stringify({ token: forged }), good, '{"token":"x"}'];
    const tokens = await post(lines.join("\n"), "?wait=0", type);
    expect(tokens.json().errors).toMatchObject([
      { pointer: "/revocations/0/token", line: 1, message: "It is not a JWT." },
      { pointer: "/revocations/1/token", line: 3, message: "Its signature does not verify." },
      { pointer: "/revocations/3/token", line: 5, message: "It is not a JWT." },
    ]);
    const syntax = await post(`${good}\n{nope\n${good}\n[]`, "?wait=0", type);
    expect(syntax.json().errors).toMatchObject([{ pointer: "/revocations/1", line: 2 }]);
    expect(await recorded()).toEqual([]);
  });

  test("a hundred places are listed, and all are counted", async () => {
    const answer = await post({
      revocations: Array.from({ length: 250 }, () => ({ kind: "user" })),
    });
    expect(answer.json().errors).toHaveLength(100);
    expect(answer.text).toContain("250 places are wrong");
  });

  test("of more than 10,000 lines", async () => {
    const lines = jtis(10_001).map((each) => JSON.stringify(each));
    const answer = await post(lines.join("\n"), "?wait=0", {
      "content-type": "application/x-ndjson",
    });
    expect(answer.status).toBe(422);
    expect(answer.text).toContain("more than 10000 in one order");
    expect(await recorded()).toEqual([]);
  });

  test.each([
    ["more than 10,000", { revocations: jtis(10_001) }],
    ["none", { revocations: [] }],
    ["something beside", { revocations: jtis(1), wait: "2s" }],
  ])("of a list with %s", async (_what, body) => {
    expect((await post(body)).status).toBe(422);
    expect(await recorded()).toEqual([]);
  });
});

test("a token alone whose jti no entry can hold is refused before anything is written", async () => {
  const answer = await post({ token: await token({ jti: "x".repeat(513), exp: 4e9 }) });
  expect(answer.json()).toMatchObject({ status: 422, code: "token-not-usable" });
  expect(answer.text).toContain("revoke the user instead");
  expect(await recorded()).toEqual([]);
});

test("a dry run says what would be revoked, each token reduced, and changes nothing", async () => {
  const text = await token({ jti: "by-token", exp: 4e9 });
  const trial = await post(
    { revocations: [{ token: text, reason: "lost" }, ...jtis(1)] },
    "?dryRun=true",
  );
  expect(trial.status).toBe(200);
  expect(trial.json()).toEqual({
    valid: true,
    count: 2,
    revocations: [
      { kind: "token", issuer: "me", jti: "by-token", expiresAt: 4e9, reason: "lost" },
      ...jtis(1),
    ],
  });
  const one = await post({ token: text }, "?dryRun=true");
  expect(one.json()).toMatchObject({ count: 1, revocations: [{ jti: "by-token" }] });
  expect((await post({ revocations: [{ token: "x" }] }, "?dryRun=true")).status).toBe(422);
  expect(await recorded()).toEqual([]);
});

describe("the list", () => {
  test("goes on where the page before ended, and never cuts an entry", async () => {
    await post(jtis(1, "a")[0]);
    await post({ revocations: jtis(5, "b") });
    await post(jtis(1, "c")[0]);
    await post({ ...jtis(1, "expired")[0], expiresAt: 1 });
    await post({ kind: "user", subject: "bob" });
    const pages: RevocationPage[] = [];
    for (let after: number | undefined = 0; after !== undefined; after = pages.at(-1)!.next)
      pages.push(await page(`?limit=2&after=${after}`));
    expect(pages.map(({ revocations }) => revocations.length)).toEqual([6, 2]);
    expect(pages.map(({ next }) => next)).toEqual([2, undefined]);
    const all = await page();
    expect(pages.flatMap(({ revocations }) => revocations)).toEqual(all.revocations);
    expect(all.revocations.map(({ sequence }) => sequence)).toEqual([1, 2, 2, 2, 2, 2, 3, 5]);
    expect(await page("?after=5")).toEqual({ revocations: [] });
  });

  test("of entries that have all expired has an end, and says where it goes on", async () => {
    const body = (expiresAt: number) =>
      JSON.stringify({ v: 1, id: "x", kind: "token", issuer: "me", jti: "x", expiresAt });
    const append = (expiresAt: number) =>
      journals.revocations.append({ key: "token", body: body(expiresAt) });
    await Promise.all(Array.from({ length: 20_000 }, () => append(1)));
    await append(4e9);
    const first = await page();
    expect(first).toEqual({ revocations: [], next: 20_000 });
    expect(await page(`?after=${first.next}`)).toMatchObject({
      revocations: [{ sequence: 20_001 }],
    });
  });

  test("hides neither what was recovered without names nor what cannot be read", async () => {
    const tokens = Buffer.alloc(24);
    tokens.writeUInt32LE(4_000_000_000, 8);
    tokens.writeUInt32LE(1, 20);
    const fingerprints = {
      v: 1,
      kind: "fingerprints",
      key: "A".repeat(22),
      tokens: tokens.toString("base64"),
      users: [["bob", null, 1_700_000_000, 4_000_000_001]],
    };
    await journals.revocations.append({ key: "fingerprints", body: JSON.stringify(fingerprints) });
    await journals.revocations.append({ key: "token", body: '{"v":1,"kind":"spell"}' });
    await journals.revocations.renew((await journals.revocations.head()).epoch);
    expect(await page()).toEqual({
      revocations: [
        { kind: "fingerprints", sequence: 1, count: 2, expiresAt: 4_000_000_001 },
        { kind: "unreadable", sequence: 2 },
      ],
    });
  });

  test.each(["limit=0", "limit=10001", "limit=x", "after=-1", "limit=1&limit=2", "offset=3"])(
    "does not understand ?%s, and says so",
    async (query) => {
      const answer = await node.call("GET", `/v1/revocations?${query}`);
      expect(answer.json()).toMatchObject({ status: 400, code: "bad-request" });
    },
  );
});
