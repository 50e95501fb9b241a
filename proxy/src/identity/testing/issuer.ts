/** An issuer for tests: keys, tokens in any state of disrepair, and a real server that publishes a key set. */
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { createServer } from "node:http";
import type { RequestListener } from "node:http";
import type { AddressInfo } from "node:net";

export type Json = Readonly<Record<string, unknown>>;

export const base64url = (value: string | Uint8Array): string =>
  Buffer.from(value).toString("base64url");

/** Any header and claims, as JSON text or as a value, and whatever makes a signature of the two. */
export function compact(
  header: Json | string,
  claims: unknown,
  signature: (input: string) => Uint8Array,
): string {
  const text = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  const input = `${base64url(text(header))}.${base64url(text(claims))}`;
  return `${input}.${base64url(signature(input))}`;
}

export const hmac =
  (secret: string | Uint8Array, bits = 256) =>
  (input: string): Uint8Array =>
    createHmac(`sha${bits}`, secret).update(input).digest();

/** The signature of an asymmetric algorithm, in the form of JWS (RFC 7518 §3.4: R and S side by side). */
export const signed =
  (key: KeyObject, algorithm: string) =>
  (input: string): Uint8Array => {
    const bytes = Buffer.from(input);
    if (algorithm === "EdDSA") return sign(null, bytes, key);
    const hash = `sha${algorithm.slice(2)}`;
    if (algorithm.startsWith("ES")) return sign(hash, bytes, { key, dsaEncoding: "ieee-p1363" });
    return sign(
      hash,
      bytes,
      algorithm.startsWith("PS") ? { key, padding: 6, saltLength: -1 } : key,
    );
  };

export interface SigningKey {
  readonly kid: string;
  readonly algorithm: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly jwk: Json;
  token(claims: unknown, header?: Json): string;
}

const curves: Readonly<Record<string, string>> = { ES256: "P-256", ES384: "P-384", ES512: "P-521" };

export function signingKey(
  algorithm: string,
  kid: string,
  modulusLength = 2048,
  publicExponent = 65_537,
): SigningKey {
  const { privateKey, publicKey } =
    algorithm === "EdDSA"
      ? generateKeyPairSync("ed25519")
      : algorithm.startsWith("ES")
        ? generateKeyPairSync("ec", { namedCurve: curves[algorithm]! })
        : generateKeyPairSync("rsa", { modulusLength, publicExponent });
  const jwk = { ...publicKey.export({ format: "jwk" }), kid, use: "sig" };
  return {
    kid,
    algorithm,
    privateKey,
    publicKey,
    jwk,
    token: (claims, header = {}) =>
      compact(
        { alg: algorithm, kid, typ: "JWT", ...header },
        claims,
        signed(privateKey, algorithm),
      ),
  };
}

export interface KeyServer extends AsyncDisposable {
  readonly url: string;
  /** Requests answered or hanging so far. */
  readonly fetches: number;
  /** From now on, this is the answer. */
  answer(listener: RequestListener): void;
  /** From now on, these keys are the answer. */
  publish(...keys: readonly Json[]): void;
  /** Closes the port; {@link KeyServer.up} opens the same one. */
  down(): Promise<void>;
  up(): Promise<void>;
}

/** A key set on a real server on loopback. */
export async function startKeyServer(...keys: readonly Json[]): Promise<KeyServer> {
  let fetches = 0;
  let listener: RequestListener;
  let port = 0;
  const open = () => {
    const server = createServer((request, response) => {
      fetches += 1;
      listener(request, response);
    });
    return new Promise<typeof server>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", () => {
        port = (server.address() as AddressInfo).port;
        resolve(server);
      });
    });
  };
  const publish = (...published: readonly Json[]) => {
    listener = (_, response) => response.end(JSON.stringify({ keys: published }));
  };
  publish(...keys);
  let server: Awaited<ReturnType<typeof open>> | undefined = await open();
  const down = async () => {
    const closing = server;
    if (closing === undefined) return;
    server = undefined;
    const closed = new Promise<void>((resolve) => closing.close(() => resolve()));
    closing.closeAllConnections();
    await closed;
  };
  return {
    url: `http://127.0.0.1:${port}/jwks`,
    get fetches() {
      return fetches;
    },
    answer: (answered) => void (listener = answered),
    publish,
    down,
    up: async () => void (server ??= await open()),
    [Symbol.asyncDispose]: down,
  };
}
