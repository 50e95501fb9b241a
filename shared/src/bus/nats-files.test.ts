/** Wrong files are told before anything is tried, by the variable that names them. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nkeys } from "@nats-io/transport-node";
import { afterAll, describe, expect, test } from "vitest";
import { readSettings, SettingsError } from "../settings.ts";
import { natsProblems, readCredentials, type NatsPlace } from "./nats-files.ts";

const directory = mkdtempSync(join(tmpdir(), "tocsin-nats-files-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let files = 0;
function file(text: string, mode = 0o600): string {
  const path = join(directory, `file-${++files}`);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const seed = text(nkeys.createUser().getSeed());
const jwt = "eyJ0eXAiOiJKV1QifQ.eyJuYW1lIjoicHJveHktMSJ9.c2ln";
const creds = `-----BEGIN NATS USER JWT-----
${jwt}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------

*************************************************************
`;

function pair(): { certificate: string; key: string } {
  const key = file("");
  const certificate = file("");
  const options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const to = ["-subj", "/CN=x", "-days", "1", "-keyout", key, "-out", certificate];
  execFileSync("openssl", ["req", ...options, ...to], { stdio: "ignore" });
  return { certificate, key };
}
const own = pair();
const other = pair();

const problems = (place: Partial<NatsPlace>) =>
  natsProblems({ servers: ["tls://nats.example:4222"], ...place }).map(
    ({ name, message }) => `${name}: ${message}`,
  );

describe("credentials", () => {
  test.each([
    ["a .creds file", creds, { jwt, seed }],
    ["a .creds file with Windows line ends", creds.replaceAll("\n", "\r\n"), { jwt, seed }],
    ["a seed alone", seed, { seed }],
    ["a seed with a line end and a comment", `# proxy-eu-1\n${seed}\n`, { seed }],
  ])("%s is understood", (_, content, found) => {
    const path = file(content);
    expect(readCredentials(path)).toEqual(found);
    expect(problems({ credentials: path })).toEqual([]);
  });

  test.each([
    ["an empty file", "", /neither a \.creds file .* nor the seed of an nkey/],
    ["any other text", "hello\n", /neither a \.creds file/],
    ["a public key", nkeys.createUser().getPublicKey(), /neither a \.creds file/],
    ["a JWT without a seed", creds.split("*****")[0]!, /neither a \.creds file/],
    [
      "an account's seed",
      text(nkeys.createAccount().getSeed()),
      /begins with SU, this one with SA/,
    ],
    ["a seed cut short", seed.slice(0, -3), /neither a \.creds file/],
    [
      "a seed with a wrong letter",
      seed.slice(0, 20) + (seed[20] === "A" ? "B" : "A") + seed.slice(21),
      /checksum is wrong/,
    ],
  ])("%s is refused, and not repeated", (_, content, message) => {
    const [problem, ...more] = problems({ credentials: file(content) });
    expect(problem).toMatch(/^TOCSIN_NATS_CREDENTIALS: found "/);
    expect(problem).toMatch(message);
    expect(problem).not.toContain(seed.slice(0, 19));
    expect(more).toEqual([]);
  });

  test("the checksum of every seed that the library makes is found right", () => {
    for (let count = 0; count < 200; count++)
      expect(() => readCredentials(file(text(nkeys.createUser().getSeed())))).not.toThrow();
  });

  test("beside a user in the URL they are refused: which of the two would get in?", () => {
    expect(
      natsProblems({ servers: ["nats://proxy:secret@a", "nats://b"], credentials: file(seed) }),
    ).toEqual([{ name: "TOCSIN_NATS_CREDENTIALS", message: expect.stringMatching(/not both/) }]);
  });
});

describe("files", () => {
  test.each(["credentials", "authorities", "certificate", "key"] as const)(
    "%s that is not there is told by its variable",
    (which) => {
      const found = problems({ ...(which === "key" ? own : {}), [which]: "/nowhere/x" });
      expect(found[0]).toMatch(
        /^TOCSIN_NATS_(CREDENTIALS|CA|CERT|KEY): found "\/nowhere\/x": cannot be read: ENOENT/,
      );
    },
  );

  test.each([
    ["credentials", () => ({ credentials: file(seed, 0o604) }), "TOCSIN_NATS_CREDENTIALS"],
    ["credentials", () => ({ credentials: file(seed, 0o602) }), "TOCSIN_NATS_CREDENTIALS"],
    [
      "a key",
      () => {
        const made = pair();
        chmodSync(made.key, 0o644);
        return made;
      },
      "TOCSIN_NATS_KEY",
    ],
  ])("%s that everybody may read or write are refused", (_, make, name) => {
    const [problem] = problems(make());
    expect(problem).toMatch(new RegExp(`^${name}: .*mode 6\\d\\d\\): chmod o-rwx`));
  });

  test("credentials that the group may read are taken: that is how they are mounted into a container", () => {
    expect(problems({ credentials: file(seed, 0o640) })).toEqual([]);
  });

  test("certificates are looked at: kind, key, and that there is TLS at all", () => {
    expect(problems({ ...own, authorities: own.certificate })).toEqual([]);
    expect(problems({ authorities: own.key })).toEqual([
      expect.stringMatching(/^TOCSIN_NATS_CA: .*not a certificate in PEM form/),
    ]);
    expect(problems({ certificate: own.key, key: own.key })).toEqual([
      expect.stringMatching(/^TOCSIN_NATS_CERT: .*not a certificate/),
    ]);
    expect(problems({ certificate: own.certificate, key: own.certificate })).toEqual([
      expect.stringMatching(/^TOCSIN_NATS_KEY: .*not a private key/),
    ]);
    expect(problems({ certificate: own.certificate, key: other.key })).toEqual([
      expect.stringMatching(/^TOCSIN_NATS_KEY: .*not the key of the certificate/),
    ]);
    expect(problems({ certificate: own.certificate })).toEqual([
      "TOCSIN_NATS_KEY: not set; TOCSIN_NATS_CERT needs it",
    ]);
    expect(problems({ key: own.key })).toEqual([
      "TOCSIN_NATS_CERT: not set; TOCSIN_NATS_KEY needs it",
    ]);
    expect(problems({ servers: ["nats://a"], authorities: own.certificate })).toEqual([
      "TOCSIN_NATS_CA: set, but TOCSIN_NATS_URL names no tls:// server",
    ]);
  });

  test("the settings tell all of it at once, with the rest", () => {
    const environment = {
      TOCSIN_NATS_URL: "tls://a:4222",
      TOCSIN_NATS_CREDENTIALS: file("no"),
      TOCSIN_NATS_CA: "/nowhere/ca.pem",
      TOCSIN_NATS_KEY: own.key,
      TOCSIN_LOG_LEVEL: "loud",
    };
    let found: unknown;
    try {
      readSettings(environment);
    } catch (error) {
      found = error;
    }
    expect(found).toBeInstanceOf(SettingsError);
    expect((found as SettingsError).problems.map(({ name }) => name).toSorted()).toEqual([
      "TOCSIN_LOG_LEVEL",
      "TOCSIN_NATS_CA",
      "TOCSIN_NATS_CERT",
      "TOCSIN_NATS_CREDENTIALS",
    ]);
  });
});
