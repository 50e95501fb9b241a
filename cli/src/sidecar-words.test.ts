import { expect, test } from "vitest";
import { tocsin } from "../../test/cli/tocsin.ts";

test.each([
  [
    ["standalone", "--sidecar", "users=http://127.0.0.1:1"],
    /a sidecar is part of a cluster, and standalone is none/,
  ],
  [["demo", "--sidecar", "users=http://127.0.0.1:1"], /and demo is none/],
  [["control-plane", "--sidecar", "users=http://127.0.0.1:1"], /tocsin proxy --sidecar users=/],
  [["proxy", "--sidecar", "users"], /--sidecar: found "users", allowed: NAME=URL/],
  [
    ["proxy", "--sidecar", "a=http://127.0.0.1:1", "--sidecar", "b=http://127.0.0.1:2"],
    /beside one service, found 2\. Start another one for each: tocsin proxy --sidecar b=/,
  ],
  [
    ["proxy", "--sidecar", "a=http://127.0.0.1:1"],
    /TOCSIN_NATS_URL: a proxy of a cluster needs it/,
  ],
])("tocsin %j is told what is wrong, exit code 64", async (args, message) => {
  const { code, stdout, stderr } = await tocsin(args);
  expect(stderr).toMatch(message);
  expect({ code, stdout }).toEqual({ code: 64, stdout: "" });
});
