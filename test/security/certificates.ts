/** Certificates as a production bus has them, made by openssl, and the ones that must not get in. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Pair {
  readonly certificate: string;
  readonly key: string;
}

export interface Authority {
  /** The authority's own certificate (PEM file). */
  readonly certificate: string;
  /** @param options.names as `DNS:localhost,IP:127.0.0.1`; `days` may be negative: expired */
  issue(name: string, options?: { names?: string; days?: number }): Pair;
}

function openssl(...args: string[]): void {
  execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
}

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** A new authority whose files go into the directory. */
export function createAuthority(directory: string, name: string): Authority {
  const certificate = join(directory, `${name}.pem`);
  const key = join(directory, `${name}.key`);
  const files = ["-keyout", key, "-out", certificate];
  openssl("req", "-x509", ...newKey, "-subj", `/CN=${name}`, "-days", "2", ...files);
  return {
    certificate,
    issue(leaf, { names = "DNS:client", days = 1 } = {}) {
      const pair = {
        certificate: join(directory, `${leaf}.pem`),
        key: join(directory, `${leaf}.key`),
      };
      const request = join(directory, `${leaf}.csr`);
      const extensions = join(directory, `${leaf}.ext`);
      writeFileSync(
        extensions,
        `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`,
      );
      openssl("req", ...newKey, "-subj", `/CN=${leaf}`, "-keyout", pair.key, "-out", request);
      const signer = ["-CA", certificate, "-CAkey", key, "-CAcreateserial"];
      const terms = ["-days", String(days), "-extfile", extensions];
      openssl("x509", "-req", "-in", request, ...signer, ...terms, "-out", pair.certificate);
      return pair;
    },
  };
}
