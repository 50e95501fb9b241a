/**
 * Every way in which a text becomes a name, and so part of a subject, a key, a file or a label, and every text that must not: one list.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { register } from "@tocsin/sdk";
import {
  assertName,
  isName,
  Name,
  nodeName,
  readSettings,
  silentLog,
  systemClock,
  toName,
} from "@tocsin/shared";
import { isOperationId, leaseOf, subjects } from "@tocsin/shared/bus";
import { ProxyHeartbeat, ProxyReport } from "@tocsin/shared/contract";
import { connectNats } from "@tocsin/shared/nats";
import { describe, expect, test } from "vitest";
import { startNats } from "../harness/index.ts";
import { root, runTocsin, temporaryDirectory } from "../harness/program.ts";
import { attempts } from "./attacks.ts";

const good = ["a", "0", "proxy-1", "a--b", "a".repeat(63), "0-0"];

describe("the validator", () => {
  test.each(attempts)("%s is no name", (_, text) => {
    expect(isName(text)).toBe(false);
    expect(Name.safeParse(text).success).toBe(false);
    expect(() => assertName(text)).toThrow(/not a name/);
    const nearest = toName(text);
    expect(nearest === undefined || isName(nearest)).toBe(true);
    expect(isName(nodeName(text, () => 0.5))).toBe(true);
  });

  test.each(good)("%s is a name", (text) => {
    expect(isName(text)).toBe(true);
    expect(toName(text)).toBe(text);
  });

  test.each([undefined, null, 1, {}, ["a"], { toString: () => "a" }])("%j is no name", (value) => {
    expect(isName(value)).toBe(false);
  });
});

describe("subjects", () => {
  test.each(attempts)("%s gets into none", (_, text) => {
    const ways = [
      () => subjects.heartbeat("proxy", text),
      () => subjects.heartbeat("control-plane", text),
      () => subjects.ack("Order_1", text),
      () => subjects.report(text),
      () => subjects.held(text),
      () => subjects.lease("register", text, "one"),
      () => subjects.lease("renew", "users", text),
      () => subjects.log("catalogue", `instance.${text}.one`),
      () => subjects.log("health", `instance.users.${text}`),
    ];
    for (const way of ways) {
      let subject: string | undefined;
      try {
        subject = way();
      } catch {
        continue;
      }
      // A key may have more tokens; then each of them is a name.
      expect(subject).toMatch(/^tocsin\.v1\.log\.(catalogue|health)\.instance(\.[a-z0-9-]+)+$/);
      expect(text.split(".").every(isName)).toBe(true);
    }
  });

  test.each(attempts)("%s is no operation, or one that does no harm", (_, text) => {
    if (isOperationId(text)) expect(text).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
    else expect(() => subjects.ack(text, "proxy-1")).toThrow(/not an operation id/);
  });

  test.each(attempts)("%s read from one is no service", (_, text) => {
    const lease = leaseOf("register", `tocsin.v1.register.${text}.one`);
    expect(lease === undefined || !isName(lease.service)).toBe(true);
  });
});

describe("messages", () => {
  const report = { applied: 0, head: 0, state: "live" };
  const journals = { catalogue: report, health: report, revocations: report };
  test.each(attempts)("%s is in none", (_, text) => {
    const heartbeat = { v: 1, proxy: text, boot: "b", version: "1", journals };
    expect(ProxyHeartbeat.safeParse({ ...heartbeat, proxy: "proxy-1" }).success).toBe(true);
    expect(ProxyHeartbeat.safeParse(heartbeat).success).toBe(false);
    const seen = (service: string, instance: string) => ({
      v: 1,
      proxy: "proxy-1",
      instances: [{ service, instance, answered: 1, failed: 0 }],
    });
    expect(ProxyReport.safeParse(seen(text, "one")).success).toBe(false);
    expect(ProxyReport.safeParse(seen("users", text)).success).toBe(false);
  });
});

describe("the environment", () => {
  // An empty variable is one that is not set, and the system lets no NUL in.
  const possible = attempts.filter(([, text]) => text !== "");
  test.each(possible)("%s names no node", (_, text) => {
    for (const name of ["TOCSIN_PROXY_ID", "TOCSIN_CONTROL_PLANE_ID"])
      expect(() => readSettings({ [name]: text })).toThrow(new RegExp(`^${name}: found`));
  });

  test.each([">", "x\r\nSUB > 1\r\n", "Proxy"])(
    "a proxy called %j ends with 64 before it binds or connects",
    async (name) => {
      await using server = await startNats({ jetstream: false });
      const result = await runTocsin(["proxy"], {
        TOCSIN_PROXY_ID: name,
        TOCSIN_NATS_URL: server.url,
        TOCSIN_LISTEN: "127.0.0.1:0",
        TOCSIN_PROBE_LISTEN: "127.0.0.1:0",
      });
      expect(result).toMatchObject({ code: 64, stdout: "" });
      expect(result.stderr).toContain("TOCSIN_PROXY_ID: found");
      expect(result.stderr).not.toContain("\r");
    },
  );

  test.each(attempts)("%s connects as no node: its inbox would be another's", async (_, text) => {
    const connecting = connectNats({
      servers: ["nats://127.0.0.1:1"],
      role: "proxy",
      node: text,
      clock: systemClock,
      log: silentLog,
    });
    await expect(connecting).rejects.toThrow(/not a name/);
  });

  test.each(attempts)("%s is no service or instance to the SDK", async (_, text) => {
    const common = { url: "http://127.0.0.1:1", drain: false, timeoutMs: 100 } as const;
    await expect(register({ ...common, name: text })).rejects.toThrow(/is not a name/);
    await expect(register({ ...common, name: "users", instance: text })).rejects.toThrow(
      /is not a name/,
    );
  });
});

describe("the program that makes users", () => {
  test.each(["", ">", "*", "users.*", "../x", "a\r\nb", "Users", "a".repeat(64), 'x"'])(
    "%j becomes none, and no file",
    async (text) => {
      using directory = temporaryDirectory();
      const to = join(directory.path, "users");
      const run = promisify(execFile)(process.execPath, [
        join(root, "deploy/nats/users.ts"),
        to,
        "proxy:proxy-1",
        `service:${text}`,
      ]);
      await expect(run).rejects.toMatchObject({ code: 64 });
      expect(existsSync(to)).toBe(false);
    },
    20_000,
  );
});
