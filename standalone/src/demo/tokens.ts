import { randomUUID } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock, Secret } from "@tocsin/shared";
import { SignJWT } from "jose";
import { demoIssuer } from "./config.ts";

/** Who there is in the demo. */
const people = { alice: ["user"], bob: ["user"], root: ["user", "admin"] } as const;

export type DemoPerson = keyof typeof people;

/** Writes a token for each person into a directory, and returns the files. */
export async function writeDemoTokens(
  directory: string,
  secret: Secret,
  clock: Clock,
): Promise<Record<DemoPerson, string>> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const files: Partial<Record<DemoPerson, string>> = {};
  const issuedAt = Math.floor(clock.wall() / 1000);
  for (const [subject, roles] of Object.entries(people)) {
    const token = await new SignJWT({ roles })
      .setProtectedHeader({ alg: "HS256", typ: "JWT" })
      .setIssuer(demoIssuer.issuer)
      .setAudience(demoIssuer.audience)
      .setSubject(subject)
      .setJti(randomUUID())
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + 12 * 3600)
      .sign(new TextEncoder().encode(secret.reveal()));
    const file = join(directory, `${subject}.token`);
    writeFileSync(file, token, { mode: 0o600 });
    files[subject as DemoPerson] = file;
  }
  return files as Record<DemoPerson, string>;
}
