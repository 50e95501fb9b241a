import { describe, expect, test } from "vitest";
import type { Presented } from "../identity.ts";
import { crossSite, type SiteRules } from "./cross-site.ts";

const rules: SiteRules = {
  origins: ["https://app.example", "https://[::1]:8443"],
  withoutOrigin: "deny",
  secure: true,
};

interface Asked {
  readonly method?: string;
  readonly fields?: readonly string[];
  readonly host?: string;
  readonly forwardedHost?: string;
  readonly forwardedProto?: string;
  readonly trusted?: boolean;
  readonly handshake?: boolean;
}

const judge = (asked: Asked, more: Partial<SiteRules> = {}) => {
  const { method = "POST", fields = [], host = "api.example", trusted = false } = asked;
  const request: Presented = {
    method,
    head: {
      authorization: undefined,
      host,
      forwardedHost: asked.forwardedHost,
      forwardedProto: asked.forwardedProto,
      passing: [...fields],
    },
    origin: { trusted },
    switching: asked.handshake === true ? {} : undefined,
  };
  return crossSite(request, { ...rules, ...more });
};
const from = (origin: string) => ["Origin", origin];

describe("pages that may", () => {
  test.each<[string, Asked]>([
    ["GET from anywhere", { method: "GET", fields: from("https://evil.example") }],
    ["HEAD from anywhere", { method: "HEAD", fields: from("https://evil.example") }],
    ["OPTIONS from anywhere", { method: "OPTIONS", fields: from("https://evil.example") }],
    ["a link to here", { method: "GET", fields: ["Sec-Fetch-Site", "cross-site"] }],
    ["the host itself", { fields: from("https://api.example") }],
    ["the host itself, with the usual port", { fields: from("https://api.example:443") }],
    ["the host itself, in capitals", { fields: from("HTTPS://API.EXAMPLE"), host: "Api.Example" }],
    ["the host with its port", { fields: from("https://api.example:8"), host: "api.example:8" }],
    ["this very machine, over http", { fields: from("http://localhost:80"), host: "localhost" }],
    ["its address", { fields: from("http://127.0.0.1:8080"), host: "127.0.0.1:8080" }],
    ["a listed one", { fields: from("https://app.example") }],
    [
      "a listed one of another site",
      { fields: [...from("https://app.example"), "Sec-Fetch-Site", "cross-site"] },
    ],
    ["a listed one with a port", { fields: from("https://[::1]:8443") }],
    ["Referer of the host itself", { fields: ["Referer", "https://api.example/a?b#c"] }],
    ["Referer of a listed one", { fields: ["referer", "https://app.example/"] }],
    [
      "with what browsers add",
      { fields: [...from("https://api.example"), "Sec-Fetch-Site", "same-origin"] },
    ],
    [
      "the host that a trusted peer names",
      {
        fields: from("https://www.example"),
        host: "10.0.0.1",
        forwardedHost: "www.example",
        forwardedProto: "https",
        trusted: true,
      },
    ],
    [
      "http, where a trusted peer says so",
      { fields: from("http://api.example"), forwardedProto: "http", trusted: true },
    ],
    [
      "a WebSocket of the host itself",
      { method: "GET", handshake: true, fields: from("https://api.example") },
    ],
    [
      "a WebSocket of a listed one",
      { method: "GET", handshake: true, fields: from("https://app.example") },
    ],
  ])("%s", (_, asked) => {
    expect(judge(asked)).toBeUndefined();
  });

  test("http of the host itself, where the cookie goes over http", () => {
    expect(judge({ fields: from("http://api.example") }, { secure: false })).toBeUndefined();
  });

  test("nobody who does not say where it is from, unless the config says so", () => {
    expect(judge({})).toMatch(/Origin/);
    expect(judge({}, { withoutOrigin: "allow" })).toBeUndefined();
  });
});

describe("pages that may not", () => {
  test.each<[string, Asked]>([
    ["POST", { fields: from("https://evil.example") }],
    ["PUT", { method: "PUT", fields: from("https://evil.example") }],
    ["PATCH", { method: "PATCH", fields: from("https://evil.example") }],
    ["DELETE", { method: "DELETE", fields: from("https://evil.example") }],
    ["an unknown method", { method: "PURGE", fields: from("https://evil.example") }],
    ["get in lower case, which is no GET", { method: "get", fields: from("https://evil.example") }],
    ["null", { fields: from("null") }],
    ["nothing", { fields: from("") }],
    ["a sibling", { fields: from("https://www.example") }],
    ["a name that begins alike", { fields: from("https://api.example.evil.example") }],
    ["a name that ends alike", { fields: from("https://evilapi.example") }],
    ["a name below", { fields: from("https://x.api.example") }],
    ["another port", { fields: from("https://api.example:8443") }],
    ["http, where the cookie is for https", { fields: from("http://api.example") }],
    [
      "user information that looks like a host",
      { fields: from("https://api.example@evil.example") },
    ],
    ["a path", { fields: from("https://api.example/") }],
    ["a list of two", { fields: from("https://api.example, https://evil.example") }],
    ["another scheme", { fields: from("chrome-extension://api.example") }],
    ["two fields", { fields: [...from("https://api.example"), ...from("https://api.example")] }],
    [
      "Origin of another one, Referer of this one",
      { fields: [...from("https://evil.example"), "Referer", "https://api.example/"] },
    ],
    ["null, Referer of this one", { fields: [...from("null"), "Referer", "https://api.example/"] }],
    ["Referer of another one", { fields: ["Referer", "https://evil.example/https://api.example"] }],
    ["Referer that is no URL", { fields: ["Referer", "api.example"] }],
    ["Referer of no host", { fields: ["Referer", "about:blank"] }],
    [
      "two Referers",
      { fields: ["Referer", "https://api.example/", "Referer", "https://api.example/"] },
    ],
    [
      "cross-site, whatever Origin says",
      { fields: [...from("https://api.example"), "Sec-Fetch-Site", "cross-site"] },
    ],
    [
      "cross-site in capitals",
      { fields: [...from("https://api.example"), "sec-fetch-site", "Cross-Site"] },
    ],
    [
      "two words about the site",
      {
        fields: [
          ...from("https://api.example"),
          "Sec-Fetch-Site",
          "same-origin",
          "Sec-Fetch-Site",
          "cross-site",
        ],
      },
    ],
    [
      "a forwarded host of a stranger",
      { fields: from("https://evil.example"), forwardedHost: "evil.example" },
    ],
    [
      "the inner host behind a trusted peer",
      {
        fields: from("https://10.0.0.1"),
        host: "10.0.0.1",
        forwardedHost: "www.example",
        trusted: true,
      },
    ],
    [
      "http, where a trusted peer says https",
      { fields: from("http://api.example"), forwardedProto: "https", trusted: true },
    ],
    [
      "a list of forwarded hosts",
      {
        fields: from("https://api.example"),
        forwardedHost: "evil.example, api.example",
        trusted: true,
      },
    ],
    [
      "a WebSocket of another site",
      { method: "GET", handshake: true, fields: from("https://evil.example") },
    ],
    ["a WebSocket that does not say", { method: "GET", handshake: true }],
    ["a host that is a list", { fields: from("https://a,b"), host: "a,b" }],
  ])("%s", (_, asked) => {
    expect(judge(asked)).toEqual(expect.any(String));
  });

  test("cross-site without Origin, also where those without are let in", () => {
    const asked = { fields: ["Sec-Fetch-Site", "cross-site"] };
    expect(judge(asked, { withoutOrigin: "allow" })).toMatch(/another site/);
  });
});
