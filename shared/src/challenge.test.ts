import { expect, test } from "vitest";
import { challenge } from "./challenge.ts";

test.each([
  ["nothing was shown", {}, 'Bearer realm="tocsin"'],
  [
    "a token that does not count",
    { error: "invalid_token", description: "The credential has expired" },
    'Bearer realm="tocsin", error="invalid_token", error_description="The credential has expired"',
  ],
  [
    "scopes that are missing, each named once",
    { error: "insufficient_scope", scopes: ["read", "users:write", "read"] },
    'Bearer realm="tocsin", error="insufficient_scope", scope="read users:write"',
  ],
  [
    "scopes that cannot be said",
    { error: "insufficient_scope", scopes: ["a b", 'a"b', "a\\b", "ä", ""] },
    'Bearer realm="tocsin", error="insufficient_scope"',
  ],
  [
    "a description with characters that may not stand in one",
    { error: "invalid_request", description: 'a "quoted" \\ word\r\nX: 1' },
    'Bearer realm="tocsin", error="invalid_request", error_description="a quoted  wordX: 1"',
  ],
] as const)("%s", (_what, parts, field) => {
  expect(challenge(parts)).toBe(field);
});
