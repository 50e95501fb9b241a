import { expect, test } from "vitest";
import { parse } from "yaml";
import { redactedDocument, redactedSource } from "./redact.ts";

const secret = "swordfish-swordfish-swordfish-1234";

test.each([
  ["plain", `a: { secret: ${secret} }\nb: 1\n`],
  ["double quoted", `a:\n  secret: "${secret}" # comment\n  b: 1\n`],
  ["single quoted", `a:\n  secret: '${secret}'\n  b: 1\n`],
  ["a literal block", `a:\n  secret: |\n    ${secret}\n  b: 1\n`],
  ["a folded block", `a:\n  secret: >-\n    ${secret}\n  b: 1\n`],
  ["over two lines", `a:\n  secret: "swordfish-\\\n    swordfish"\n  b: 1\n`],
  ["a quoted key", `a: { "secret": ${secret} }\nb: 1\n`],
  ["JSON", `{"a":{"secret":"${secret}","b":1}}`],
  ["an anchor", `a: { secret: &s ${secret} }\nb: 1\n`],
  ["an alias", `x: &s ${secret}\na: { secret: *s }\nb: 1\n`],
  ["a default of a reference", `a: { secret: "\${KEY:-${secret}}" }\nb: 1\n`],
  ["a long key", `a: { ? secret : ${secret} }\nb: 1\n`],
])("a secret does not show: %s", (_what, source) => {
  const shown = redactedSource(source);
  expect(shown).not.toContain("swordfish");
  expect(shown).toContain("[redacted]");
  // What is left is still the config, but for the secret.
  expect(JSON.stringify(parse(shown))).toBe(
    JSON.stringify(parse(source)).replace(/"[^"]*swordfish[^"]*"/g, '"[redacted]"'),
  );
});

test("a reference to the environment is shown as it is written", () => {
  const source = 'a: { secret: "${JWT_SECRET_KEY}" }\nb:\n  secret: ${OTHER}\n';
  expect(redactedSource(source)).toBe(source);
});

test("a resolved document hides every secret", () => {
  const document = { identity: { issuers: [{ secret, issuer: "me" }] }, list: [{ secret }] };
  expect(redactedDocument(document)).toEqual({
    identity: { issuers: [{ secret: "[redacted]", issuer: "me" }] },
    list: [{ secret: "[redacted]" }],
  });
});
