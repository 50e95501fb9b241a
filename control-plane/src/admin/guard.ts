/** Who may use the admin API. */
import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import type { Secret } from "@tocsin/shared";
import { addressSet } from "@tocsin/shared/contract";
import { Declined } from "../problem.ts";

const digest = (text: string) => createHash("sha256").update(text).digest();
const loopback = addressSet(["127.0.0.0/8", "::1"]);

export interface Guard {
  /** @throws Declined 401 when the token is not there or not the one */
  admit(authorization: string | undefined): void;
  /**
   * A page in a browser can make its own name resolve to this machine ("DNS rebinding"); the Host it then sends gives it away.
   *
   * @throws Declined 421 when the API listens on loopback and the host is another
   */
  checkHost(host: string | undefined): void;
  /** Names the token in the audit without telling it. */
  readonly fingerprint: string;
}

export function createGuard(token: Secret, listenHost: string): Guard {
  const expected = digest(token.reveal());
  const onLoopback = listenHost === "localhost" || (isIP(listenHost) !== 0 && loopback(listenHost));
  return {
    fingerprint: expected.toString("hex").slice(0, 8),
    admit(authorization) {
      const given = /^Bearer ([\x21-\x7e]+)$/i.exec(authorization ?? "")?.[1];
      // Hashing makes both sides equally long, so that the comparison takes the same time whatever was sent.
      if (given === undefined || !timingSafeEqual(digest(given), expected)) {
        throw new Declined(
          401,
          given === undefined ? "credential-missing" : "credential-invalid",
          "The admin API wants its bearer token",
          {
            detail: "It is TOCSIN_ADMIN_TOKEN, or in the file admin-token of the state directory.",
          },
        );
      }
    },
    checkHost(host) {
      if (!onLoopback) return;
      const name = (host ?? "").replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
      if (name === "localhost" || (isIP(name) !== 0 && loopback(name))) return;
      throw new Declined(421, "host-not-allowed", "This host is not served here", {
        detail: "The admin API listens on loopback, and answers to localhost only.",
      });
    },
  };
}
