import { expect, test } from "vitest";
import { ClaimPath, claimNames } from "./claim-path.ts";

test.each([
  ["roles", ["roles"]],
  ["realm_access.roles", ["realm_access", "roles"]],
  ["resource_access.my-client.roles", ["resource_access", "my-client", "roles"]],
  [String.raw`resource_access.my\.client.roles`, ["resource_access", "my.client", "roles"]],
  ["https://example.com/roles", ["https://example.com/roles"]],
  ["cognito:groups", ["cognito:groups"]],
  ["urn:zitadel:iam:roles", ["urn:zitadel:iam:roles"]],
])("%s", (path, names) => {
  expect(ClaimPath.parse(path)).toBe(path);
  expect(claimNames(path)).toEqual(names);
});

test.each(["", ".", "a.", ".a", "a..b"])("%j is the path of no claim", (path) => {
  expect(ClaimPath.safeParse(path).success).toBe(false);
});
