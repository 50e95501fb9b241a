/** An issuer of tokens that publishes its keys. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from "jose";

export interface TokenIssuer extends AsyncDisposable {
  /** Where its keys are. */
  readonly url: string;
  /** Signs claims, beside those of a token of the issuer `shop` for the audience `us` that is good for an hour. */
  sign(claims: Record<string, unknown>, kid: string): Promise<string>;
}

/** An issuer with two keys, `k1` and `k2`. */
export async function startIssuer(): Promise<TokenIssuer> {
  const keys = new Map<string, CryptoKey>();
  const published: JWK[] = [];
  for (const kid of ["k1", "k2"]) {
    const { privateKey, publicKey } = await generateKeyPair("ES256");
    keys.set(kid, privateKey);
    published.push({ ...(await exportJWK(publicKey)), kid, alg: "ES256", use: "sig" });
  }
  const server = createServer((_request, response) =>
    response
      .writeHead(200, { "content-type": "application/json" })
      .end(JSON.stringify({ keys: published })),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`,
    sign(claims, kid) {
      const now = Math.floor(Date.now() / 1000);
      return new SignJWT({ iss: "shop", aud: "us", iat: now, exp: now + 3_600, ...claims })
        .setProtectedHeader({ alg: "ES256", typ: "JWT", kid })
        .sign(keys.get(kid)!);
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
