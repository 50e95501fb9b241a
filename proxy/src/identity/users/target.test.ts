import { expect, test } from "vitest";
import { targetOf } from "./target.ts";

const path = "/internal/users/{subject}";
const of = (subject: string, issuer = "https://auth.example", template = path) =>
  targetOf(template, { subject, issuer });

test.each([
  ["ada", "ada"],
  ["auth0|5f7c", "auth0%7C5f7c"],
  ["ada@example.com", "ada%40example.com"],
  ["a/b", "a%2Fb"],
  ["%2f", "%252f"],
  ["%2e%2e", "%252e%252e"],
  ["?admin=1", "%3Fadmin%3D1"],
  ["#x", "%23x"],
  ["a;b", "a%3Bb"],
  ["a b", "a%20b"],
  ["a\r\nHost: x", "a%0D%0AHost%3A%20x"],
  ["Zoë", "Zo%C3%AB"],
  ["...", "..."],
  ["a..b", "a..b"],
])("the subject %j stays one segment: %s", (subject, segment) => {
  expect(of(subject)).toBe(`/internal/users/${segment}`);
});

test.each([
  "",
  ".",
  "..",
  "../admin",
  "a/../b",
  "..\\admin",
  "a/..",
  "./a",
  "a/./b",
  "..;/x",
  "\ud800",
])("nobody is asked about %j, which some server could take for another path", (subject) =>
  expect(of(subject)).toBeUndefined(),
);

test("the issuer is a segment too, and a gateway's own credential has none", () => {
  const template = "/u/{issuer}/{subject}/state";
  expect(of("ada", "https://auth.example/", template)).toBe(
    "/u/https%3A%2F%2Fauth.example%2F/ada/state",
  );
  expect(of("ada", "", template)).toBe("/u/-/ada/state");
  expect(of("ada", "https://auth.example/../x", template)).toBeUndefined();
});
