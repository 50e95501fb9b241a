/**
 * The files that a connection to NATS is made with: credentials, and the certificates of TLS. Looked at before any socket is opened,
 * so that a wrong one is told by the variable that names it and not by a handshake that fails for ever.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";

/** The variables that say where NATS is and how to get in. */
export interface NatsPlace {
  /** `TOCSIN_NATS_URL`, split at its commas. */
  readonly servers: readonly string[];
  /**
   * `TOCSIN_NATS_CREDENTIALS`: a `.creds` file (JWT and seed), or a file with the seed of an nkey. Read again at each connection, so that
   * it can be renewed in place; so are the other three.
   */
  readonly credentials?: string | undefined;
  /** `TOCSIN_NATS_CA`: certificates (PEM) of the authorities to trust. Default: those that Node knows. */
  readonly authorities?: string | undefined;
  /** `TOCSIN_NATS_CERT`: the certificate (PEM) to show to a server that asks for one, with the chain behind it. */
  readonly certificate?: string | undefined;
  /** `TOCSIN_NATS_KEY`: the private key (PEM) of that certificate. */
  readonly key?: string | undefined;
}

/** What a credentials file holds: an nkey's seed, and the JWT it belongs to where the server trusts an operator. */
export interface Credentials {
  readonly seed: string;
  readonly jwt?: string;
}

interface Problem {
  readonly name: string;
  readonly message: string;
}

/** Everything that is wrong with them, by variable. Empty when a connection may be tried. */
export function natsProblems(place: NatsPlace): Problem[] {
  const problems: Problem[] = [];
  const { servers, credentials, authorities, certificate, key } = place;
  const look = (name: string, file: string | undefined, check: (text: string) => void) => {
    if (file === undefined) return;
    try {
      check(textOf(file));
    } catch (error) {
      const why = (error as Error).message;
      problems.push({ name, message: `found ${JSON.stringify(file)}: ${why}` });
    }
  };
  look("TOCSIN_NATS_CREDENTIALS", credentials, (text) => {
    parseCredentials(text);
    assertPrivate(credentials!);
  });
  look("TOCSIN_NATS_CA", authorities, (text) => void certificateIn(text));
  look("TOCSIN_NATS_CERT", certificate, (text) => void certificateIn(text));
  look("TOCSIN_NATS_KEY", key, (text) => {
    assertKeyOf(certificate, text);
    assertPrivate(key!);
  });
  if (certificate !== undefined && key === undefined)
    problems.push({ name: "TOCSIN_NATS_KEY", message: "not set; TOCSIN_NATS_CERT needs it" });
  if (certificate === undefined && key !== undefined)
    problems.push({ name: "TOCSIN_NATS_CERT", message: "not set; TOCSIN_NATS_KEY needs it" });
  const encrypted = servers.some((server) => server.trim().startsWith("tls:"));
  if (!encrypted && servers.length > 0)
    for (const [name, file] of [
      ["TOCSIN_NATS_CA", authorities],
      ["TOCSIN_NATS_CERT", certificate],
    ] as const)
      if (file !== undefined)
        problems.push({ name, message: "set, but TOCSIN_NATS_URL names no tls:// server" });
  if (credentials !== undefined && servers.some((server) => server.includes("@")))
    problems.push({
      name: "TOCSIN_NATS_CREDENTIALS",
      message: "set, and TOCSIN_NATS_URL has a user in it: one of them, not both",
    });
  return problems;
}

/**
 * Reads a credentials file.
 *
 * @throws Error saying what is wrong with it
 */
export function readCredentials(file: string): Credentials {
  return parseCredentials(textOf(file));
}

const block = (kind: string) =>
  new RegExp(String.raw`-{3,}BEGIN ${kind}-{3,}\s+(\S+)\s+-{3,}END ${kind}-{3,}`);
const jwtBlock = block("NATS USER JWT");
const seedBlock = block("USER NKEY SEED");

function parseCredentials(text: string): Credentials {
  const jwt = jwtBlock.exec(text)?.[1];
  // The tools of NATS write a seed alone in a file, or with comments around it.
  const seed =
    seedBlock.exec(text)?.[1] ??
    text
      .split("\n")
      .map((line) => line.trim())
      .find((line) => line !== "" && !line.startsWith("#"));
  if (seed === undefined || !/^S[A-Z2-7]{57}$/.test(seed))
    throw new Error("neither a .creds file (a user's JWT and seed) nor the seed of an nkey");
  if (!seed.startsWith("SU"))
    throw new Error(`the seed of a user begins with SU, this one with ${seed.slice(0, 2)}`);
  if (!isChecked(seed)) throw new Error("the seed's checksum is wrong: it is not complete");
  return jwt === undefined ? { seed } : { seed, jwt };
}

/** The last two of a seed's bytes are the CRC-16 (XMODEM) of those before, the lower one first. */
function isChecked(seed: string): boolean {
  const bytes: number[] = [];
  let bits = 0;
  let held = 0;
  for (const letter of seed) {
    held = ((held << 5) | "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((held >> bits) & 0xff);
  }
  const sum = bytes.splice(-2);
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return sum[0] === (crc & 0xff) && sum[1] === crc >> 8;
}

function certificateIn(text: string): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch (cause) {
    throw new Error("not a certificate in PEM form", { cause });
  }
}

function assertKeyOf(certificate: string | undefined, text: string): void {
  let key;
  try {
    key = createPrivateKey(text);
  } catch (cause) {
    throw new Error("not a private key in PEM form without a passphrase", { cause });
  }
  if (certificate === undefined) return;
  let shown;
  try {
    shown = certificateIn(textOf(certificate));
  } catch {
    return; // Told of the certificate already.
  }
  if (!shown.checkPrivateKey(key))
    throw new Error("not the key of the certificate that TOCSIN_NATS_CERT names");
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new Error(`cannot be read: ${code ?? "failed"}`, { cause });
  }
}

/** @throws Error when users who are neither the owner nor of the group may read or write the file */
function assertPrivate(file: string): void {
  if (process.platform === "win32") return;
  const mode = statSync(file).mode & 0o777;
  if ((mode & 0o007) !== 0)
    throw new Error(
      `a secret that every user of this machine may read or write (mode ${mode.toString(8)}): chmod o-rwx`,
    );
}
