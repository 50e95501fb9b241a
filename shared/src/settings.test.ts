import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isName } from "./names.ts";
import {
  formatAddress,
  nodeName,
  parseAddress,
  readSettings,
  settingsWithoutEffect,
  SettingsError,
} from "./settings.ts";

function problemsOf(
  environment: Record<string, string>,
): readonly { name: string; message: string }[] {
  try {
    readSettings(environment);
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  return [];
}

describe("settings", () => {
  test("an empty environment gives the documented defaults", () => {
    const settings = readSettings({});
    expect(settings.TOCSIN_LISTEN).toEqual({ host: "0.0.0.0", port: 8080 });
    expect(settings.TOCSIN_PROBE_LISTEN).toEqual({ host: "127.0.0.1", port: 9090 });
    expect(settings.TOCSIN_ADMIN_LISTEN).toEqual({ host: "127.0.0.1", port: 7070 });
    expect(settings.TOCSIN_DRAIN_TIMEOUT).toBe(30_000);
    expect(settings.TOCSIN_NATS_URL).toBeUndefined();
  });

  test("every problem is reported at once, with the variable, what was found and what is allowed", () => {
    const problems = problemsOf({
      TOCSIN_LISTEN: "8080",
      TOCSIN_PROXY_ID: "Not A Name",
      TOCSIN_NATS_URL: "http://nats:4222",
      TOCSIN_LOG_LEVEL: "loud",
      TOCSIN_DRAIN_TIMEOUT: "2h",
      TOCSIN_ADMIN_TOKEN: "short",
    });
    expect(problems.map((problem) => problem.name).toSorted()).toEqual([
      "TOCSIN_ADMIN_TOKEN",
      "TOCSIN_DRAIN_TIMEOUT",
      "TOCSIN_LISTEN",
      "TOCSIN_LOG_LEVEL",
      "TOCSIN_NATS_URL",
      "TOCSIN_PROXY_ID",
    ]);
    expect(problems.find((problem) => problem.name === "TOCSIN_LISTEN")?.message).toBe(
      'found "8080", allowed: host:port, [ipv6]:port or :port, port 0 to 65535',
    );
  });

  test("where a sidecar takes the calls of its service is on loopback, because nobody is asked who they are there", () => {
    expect(readSettings({}).TOCSIN_OUTBOUND_LISTEN).toEqual({ host: "127.0.0.1", port: 15_001 });
    for (const text of ["127.9.9.9:0", "localhost:1", "[::1]:15001"])
      expect(problemsOf({ TOCSIN_OUTBOUND_LISTEN: text })).toEqual([]);
    for (const text of ["0.0.0.0:1", ":15001", "[::]:1", "10.0.0.1:1", "127.evil.test:1", "::1:1"])
      expect(problemsOf({ TOCSIN_OUTBOUND_LISTEN: text })).toMatchObject([
        { name: "TOCSIN_OUTBOUND_LISTEN", message: expect.stringContaining("127.0.0.0/8") },
      ]);
  });

  test("what a sidecar registers is scheme, host and port", () => {
    const read = (text: string) =>
      readSettings({ TOCSIN_ADVERTISE_URL: text }).TOCSIN_ADVERTISE_URL;
    expect(read("http://10.0.0.5:8080")).toBe("http://10.0.0.5:8080");
    expect(read("https://users.example/")).toBe("https://users.example");
    for (const text of ["10.0.0.5:8080", "http://a/path", "http://a?x", "http://u:p@a", "ftp://a"])
      expect(problemsOf({ TOCSIN_ADVERTISE_URL: text })).toHaveLength(1);
  });

  test("a secret that is wrong is not repeated in the error", () => {
    const [problem] = problemsOf({ TOCSIN_ADMIN_TOKEN: "swordfish" });
    expect(problem?.message).toContain("9 characters");
    expect(problem?.message).not.toContain("swordfish");
  });

  test("a secret may come from a file, but not from two places", () => {
    const file = join(mkdtempSync(join(tmpdir(), "tocsin-settings-")), "token");
    writeFileSync(file, "0123456789abcdef0123\n");
    const settings = readSettings({ TOCSIN_ADMIN_TOKEN_FILE: file });
    expect(settings.TOCSIN_ADMIN_TOKEN?.reveal()).toBe("0123456789abcdef0123");
    expect(JSON.stringify(settings)).not.toContain("0123456789abcdef");
    expect(
      problemsOf({ TOCSIN_ADMIN_TOKEN_FILE: file, TOCSIN_ADMIN_TOKEN: "0123456789abcdef" })[0]
        ?.message,
    ).toContain("not both");
    expect(problemsOf({ TOCSIN_ADMIN_TOKEN_FILE: `${file}.gone` })[0]?.message).toContain("ENOENT");
  });

  test("a setting whose part does not exist yet is told, not silently ignored", () => {
    expect(settingsWithoutEffect({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1" })).toEqual([
      {
        name: "OTEL_EXPORTER_OTLP_ENDPOINT",
        message: "this version does not export traces yet: it has no effect",
      },
    ]);
    expect(settingsWithoutEffect({ TOCSIN_LISTEN: ":0" })).toEqual([]);
  });

  test("the password of a Redis is never shown, and a URL that is none says what is allowed", () => {
    const url = "redis://:hunter2-hunter2@redis:6379/1";
    const settings = readSettings({ TOCSIN_REDIS_URL: url });
    expect(settings.TOCSIN_REDIS_URL?.reveal()).toBe(url);
    expect(JSON.stringify(settings)).not.toContain("hunter2");
    const [problem] = problemsOf({ TOCSIN_REDIS_URL: "http://:hunter2@redis" });
    expect(problem?.message).toMatch(/^found a value of \d+ characters, allowed: redis:\/\//);
  });

  test.each([
    ["127.0.0.1:0", { host: "127.0.0.1", port: 0 }],
    [":8080", { host: "0.0.0.0", port: 8080 }],
    ["[::1]:443", { host: "::1", port: 443 }],
    ["gateway.internal:80", { host: "gateway.internal", port: 80 }],
  ])("%s is an address", (text, address) => {
    expect(parseAddress(text)).toEqual(address);
    expect(parseAddress(formatAddress(address))).toEqual(address);
  });

  test.each(["", "localhost", "::1:80", "a b:80", "http://x:80", "x:99999", "x:-1"])(
    "%j is no address",
    (text) => {
      expect(parseAddress(text)).toBeUndefined();
    },
  );

  test("a node name is a name, whatever the host is called", () => {
    for (const host of ["web-1", "Ünïcode.host.example", "", "-".repeat(80), "a".repeat(80)]) {
      expect(isName(nodeName(host, () => 0.5))).toBe(true);
    }
  });
});
