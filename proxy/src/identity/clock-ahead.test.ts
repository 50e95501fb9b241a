import { describe, expect, test } from "vitest";
import { Refusal, silentLog } from "@tocsin/shared";
import { Issuer } from "@tocsin/shared/contract";
import { RevocationSet } from "@tocsin/shared/revocations";
import { Tokens } from "./tokens.ts";
import { compact, hmac } from "./testing/issuer.ts";
import { ManualClock } from "./testing/manual-clock.ts";

const secret = "the secret that the shop and the gateway share";

function start() {
  const clock = new ManualClock();
  const revocations = new RevocationSet();
  const identity = new Tokens({ clock, random: () => 0, log: silentLog, revocations });
  const issuer = { issuer: "shop", audience: "api", algorithms: ["HS256"], secret };
  identity.configure([Issuer.parse(issuer)], { production: true });
  const token = (aheadSeconds: number, sub = "alice") => {
    const iat = clock.seconds + aheadSeconds;
    return compact(
      { alg: "HS256" },
      { iss: "shop", aud: "api", sub, iat, exp: iat + 600 },
      hmac(secret),
    );
  };
  const answer = async (text: string) => {
    try {
      await identity.identify(`Bearer ${text}`);
      return "let in";
    } catch (error) {
      if (error instanceof Refusal) return error.code;
      throw error;
    }
  };
  const revoke = () =>
    revocations.addUser("alice", undefined, clock.seconds, clock.seconds + 9_999);
  return { clock, token, answer, revoke };
}

describe("a mark that is set now covers a token from the future", () => {
  test("that was used before", async () => {
    const { token, answer, revoke } = start();
    const future = token(25);
    expect(await answer(future)).toBe("let in");
    revoke();
    expect(await answer(future)).toBe("credential-revoked");
  });

  test("that comes for the first time", async () => {
    const { clock, token, answer, revoke } = start();
    const future = token(25);
    revoke();
    clock.advance(5_000);
    expect(await answer(future)).toBe("credential-revoked");
    clock.advance(60_000);
    expect(await answer(future)).toBe("credential-revoked");
  });

  test("that comes when its moment has passed, of an issuer that was seen to be ahead", async () => {
    const { clock, token, answer, revoke } = start();
    const future = token(25);
    expect(await answer(token(25, "bob"))).toBe("let in");
    revoke();
    clock.advance(60_000);
    expect(await answer(future)).toBe("credential-revoked");
  });

  test("that was held as good before it was known that the issuer is ahead", async () => {
    const { clock, token, answer, revoke } = start();
    const slightly = token(1);
    expect(await answer(slightly)).toBe("let in");
    revoke();
    expect(await answer(token(25, "bob"))).toBe("let in");
    expect(await answer(slightly)).toBe("credential-revoked");
    clock.advance(1_000);
    expect(await answer(slightly)).toBe("credential-revoked");
  });
});

test("a new token counts a second after the mark, and a tolerance later when the issuer is ahead", async () => {
  const { clock, token, answer, revoke } = start();
  revoke();
  clock.advance(1_000);
  expect(await answer(token(0))).toBe("let in");
  expect(await answer(token(20, "bob"))).toBe("let in");
  expect(await answer(token(20))).toBe("credential-revoked");
  clock.advance(10_000);
  expect(await answer(token(20))).toBe("let in");
});
