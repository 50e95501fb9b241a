import type { Config, RevocationItem } from "@tocsin/shared/contract";
import { Declined, type ProblemPlace } from "../problem.ts";
import type { ReducedItem } from "./entries.ts";
import { invalid, withLine } from "./read-order.ts";
import type { TokenReader } from "./token.ts";

/** Tokens verified at the same time. */
const atOnce = 16;

/** A token gives way to what identifies it. @throws Declined as {@link TokenReader.read} */
export async function reduced(
  item: RevocationItem,
  tokens: TokenReader,
  config: Config,
  expired: "refuse" | "read",
): Promise<ReducedItem> {
  if (!("token" in item)) return item;
  const { issuer, jti, expiresAt } = await tokens.read(item.token, config, expired);
  const { reason } = item;
  return { kind: "token", issuer, jti, expiresAt, ...(reason === undefined ? {} : { reason }) };
}

/**
 * Reduces all tokens of an order of many.
 *
 * @param lines where each stands, for messages
 * @throws Declined 422 with every token that cannot be revoked; 503 at the first one of which nobody can say
 */
export async function allReduced(
  items: readonly RevocationItem[],
  tokens: TokenReader,
  config: Config,
  lines: readonly number[] | undefined,
): Promise<ReducedItem[]> {
  const done: ReducedItem[] = [];
  const errors: ProblemPlace[] = [];
  const rest = items.entries();
  async function work(): Promise<void> {
    for (const [index, item] of rest) {
      try {
        done[index] = await reduced(item, tokens, config, "read");
      } catch (error) {
        if (!(error instanceof Declined) || error.status !== 422) throw error;
        const place = {
          pointer: `/revocations/${index}/token`,
          message: error.detail ?? error.title,
        };
        errors.push(withLine(place, lines?.[index]));
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, work));
  if (errors.length === 0) return done;
  throw invalid(errors.toSorted((a, b) => indexOf(a) - indexOf(b)));
}

const indexOf = ({ pointer }: ProblemPlace) => Number(pointer.split("/")[2]);
