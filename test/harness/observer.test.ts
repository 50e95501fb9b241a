import { expect, test } from "vitest";
import type { Gateway } from "./gateway.ts";
import { Ledger } from "./ledger.ts";
import { Observer } from "./observer.ts";
import { startOrigin, type Origin } from "./origin.ts";
import { soon } from "./soon.ts";

/** A gateway as bad as it can be: this is how it answers. */
const worst = (origin: Origin) =>
  ({
    urls: [origin.url],
    names: { controlPlanes: [], proxies: ["proxy-1"] },
  }) as unknown as Gateway;

const answer = (missing: readonly { proxy: string }[]) =>
  JSON.stringify({ applied: { count: 1 - missing.length, missing } });

async function observe(origin: Origin, prepare: (ledger: Ledger) => void) {
  const ledger = new Ledger();
  const observer = new Observer({
    gateway: worst(origin),
    ledger,
    good: "good",
    stranger: "stranger",
    perSecond: 200,
    strictStalenessMs: 50,
    slackMs: 0,
  });
  prepare(ledger);
  await soon(() => expect(observer.observations.length).toBeGreaterThan(60));
  await observer.stop();
  return observer;
}

const revocation = { kind: "revocation", operation: "a", token: "mallory", path: "" } as const;

test("who is let in though the proxy has acknowledged the revocation, or was never issued, is found", async () => {
  await using origin = await startOrigin();
  const observer = await observe(origin, (ledger) => {
    ledger.answered(ledger.give(revocation), 200, answer([]), ["proxy-1"]);
  });
  const { letIn, failed } = observer.report();
  expect(new Set(letIn.map(({ who, route }) => `${who} ${route}`))).toEqual(
    new Set(["revoked users", "revoked strict", "stranger users"]),
  );
  expect(failed).toEqual(letIn);
  expect(() => observer.assertClean()).toThrow(/let in without permission: \d+ of/);
});

test("what a proxy does not know yet is no fault of it, but where its knowledge may not be so old", async () => {
  await using origin = await startOrigin();
  const observer = await observe(origin, (ledger) => {
    ledger.answered(ledger.give(revocation), 202, answer([{ proxy: "proxy-1" }]), ["proxy-1"]);
  });
  const routes = observer.report().letIn.filter(({ who }) => who === "revoked");
  expect(new Set(routes.map(({ route }) => route))).toEqual(new Set(["strict"]));
  for (const { refuse } of routes) expect(refuse).toMatch(/^acknowledged \d+ ms before$/);
});

test("who is turned away without reason is a failure, and so is no answer", async () => {
  await using origin = await startOrigin((request, response) =>
    request.url === "/api/strict/1" ? response.destroy() : response.writeHead(502).end(),
  );
  const observer = await observe(origin, () => {});
  const { letIn, failed, requests } = observer.report();
  expect(letIn).toEqual([]);
  expect(failed).toHaveLength(requests);
  expect(new Set(failed.map(({ status }) => status))).toEqual(new Set([502, 0]));
});
