import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Denial, silentLog } from "@tocsin/shared";
import { describe, expect, test } from "vitest";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import { SignInFailures } from "./sign-in-failures.ts";

function given() {
  const clock = createVirtualClock();
  const lines: { event: string; [field: string]: unknown }[] = [];
  const counts: Record<string, number> = {};
  const failures = new SignInFailures({
    log: { ...silentLog, warn: (fields) => void lines.push(fields as (typeof lines)[number]) },
    clock,
    counted: (code) => void (counts[code] = (counts[code] ?? 0) + 1),
  });
  const request = { id: "id-1", method: "GET", clientAddress: "192.0.2.7", route: { id: "r" } };
  const fail = (denial = new Denial("credential-invalid", "signature-wrong")) =>
    failures.note(request, denial);
  return { clock, lines, counts, failures, request, fail };
}

describe("a sign-in that fails", () => {
  test("is a line with what was wrong, and nothing of what was shown", () => {
    const { lines, failures, request } = given();
    failures.note(request, new Denial("credential-expired", "expired", { issuer: "https://i" }));
    failures.note(
      { ...request, route: undefined },
      new Denial("credential-revoked", "revoked", { issuer: "" }),
    );
    const common = {
      event: "sign-in-failed",
      request_id: "id-1",
      method: "GET",
      client_ip: "192.0.2.7",
    };
    expect(lines).toEqual([
      {
        ...common,
        route: "r",
        code: "credential-expired",
        cause: "expired",
        issuer: "https://i",
      },
      { ...common, route: "", code: "credential-revoked", cause: "revoked" },
    ]);
  });

  test("is only counted when nothing was shown, or the address is shut out", () => {
    const { lines, counts, fail } = given();
    fail(new Denial("credential-missing", "credential-absent"));
    fail(new Denial("address-blocked", "address-blocked"));
    expect(lines).toEqual([]);
    expect(counts).toEqual({ "credential-missing": 1, "address-blocked": 1 });
  });

  test("has a line of its own ten times in any second; one line says how many had none, and each is counted", async () => {
    const { clock, lines, counts, fail } = given();
    for (let count = 0; count < 25; count += 1) fail();
    fail(new Denial("forbidden", "role-missing"));
    expect(lines).toHaveLength(10);
    await clock.pass(990);
    fail();
    expect(lines).toHaveLength(10);
    await clock.pass(20);
    for (let count = 0; count < 5; count += 1) fail();
    expect(lines).toHaveLength(15);
    await clock.pass(500);
    // The five before count, wherever a second is begun.
    for (let count = 0; count < 20; count += 1) fail();
    expect(lines).toHaveLength(20);
    await clock.pass(3_480);
    expect(lines).toHaveLength(20);
    await clock.pass(20);
    expect(lines.slice(20)).toEqual([
      {
        event: "sign-in-failures-left-out",
        count: 32,
        codes: { "credential-invalid": 31, forbidden: 1 },
      },
    ]);
    expect(counts).toEqual({ "credential-invalid": 51, forbidden: 1 });
    await clock.pass(60_000);
    expect(lines).toHaveLength(21);
  });

  test("is told of at the end too", async () => {
    const { clock, lines, failures, fail } = given();
    for (let count = 0; count < 11; count += 1) fail();
    failures[Symbol.dispose]();
    failures[Symbol.dispose]();
    expect(lines.slice(10)).toEqual([
      { event: "sign-in-failures-left-out", count: 1, codes: { "credential-invalid": 1 } },
    ]);
    await clock.pass(60_000);
    expect(clock.timers).toBe(0);
    expect(lines).toHaveLength(11);
  });
});

test("whatever keeps somebody out is a denial: no other refusal with such a code is thrown", () => {
  const proxy = dirname(import.meta.dirname);
  const files = globSync("**/*.ts", { cwd: proxy }).filter((file) => !file.endsWith(".test.ts"));
  expect(files.length).toBeGreaterThan(100);
  const codes =
    /new Refusal\(\s*"(credential-\w+|forbidden|address-blocked|stale-state|session-\w+)/;
  expect(files.filter((file) => codes.test(readFileSync(join(proxy, file), "utf8")))).toEqual([]);
});
