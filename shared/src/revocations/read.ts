import { RevocationEntry, type BatchRevocation, type Revocation } from "../contract/entries.ts";
import { protocolVersion } from "../contract/messages.ts";

type TokenRevocation = Extract<Revocation, { kind: "token" }>;

const maxBatch = 1_000;
const maxUnixSeconds = 1e11;

/**
 * Reads the body of an entry.
 *
 * What comes most often, a token or a batch of tokens, is checked by hand, to the letter as {@link RevocationEntry} would: a proxy is
 * to take in thousands of them while it serves. Whatever does not pass here has the schema's word.
 *
 * @throws SyntaxError or ZodError when it is none
 */
export function readRevocation(body: string): RevocationEntry {
  const value: unknown = JSON.parse(body);
  return isToken(value) || isBatchOfTokens(value) ? value : RevocationEntry.parse(value);
}

function isToken(value: unknown): value is TokenRevocation {
  if (!isObject(value)) return false;
  let fields = 0;
  for (const name in value) {
    switch (name) {
      case "v":
        if (value[name] !== protocolVersion) return false;
        break;
      case "kind":
        if (value[name] !== "token") return false;
        break;
      case "id":
        if (!isText(value[name], 1, 64)) return false;
        break;
      case "issuer":
      case "jti":
        if (!isText(value[name], 1, 512)) return false;
        break;
      case "expiresAt": {
        const at = value[name];
        if (typeof at !== "number" || !(at >= 0 && at <= maxUnixSeconds)) return false;
        break;
      }
      case "at":
        if (typeof value[name] !== "number" || !(value[name] >= 0)) return false;
        // May be missing.
        fields -= 1;
        break;
      case "reason":
        if (!isText(value[name], 0, 200)) return false;
        // May be missing.
        fields -= 1;
        break;
      default:
        return false;
    }
    fields += 1;
  }
  return fields === 6;
}

function isBatchOfTokens(value: unknown): value is BatchRevocation {
  if (!isObject(value) || Object.keys(value).length !== 3) return false;
  const { v, kind, items } = value;
  return (
    v === protocolVersion &&
    kind === "batch" &&
    Array.isArray(items) &&
    items.length >= 1 &&
    items.length <= maxBatch &&
    items.every(isToken)
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown, min: number, max: number): boolean {
  return typeof value === "string" && value.length >= min && value.length <= max;
}
