import type { Option } from "commander";
import type {
  CreateOptions,
  ListKeysOptions,
  RevokeKeyOptions,
  RotateOptions,
} from "./commands/keys.ts";
import type { Group, Running } from "./program.ts";

const collected = (value: string, before: readonly string[] = []) => [...before, value];

/** The words about API keys. */
export function addKeys(group: Group, running: Running, wait: () => Option): void {
  const keys = group("keys", "API keys: for programs that call, without a user");
  keys
    .command("create [principal]")
    .description("make a key; it is printed once, alone on standard output")
    .option("--principal <name>", "whom it speaks for, instead of the argument")
    .option("--role <role>", "a role that it has; may be repeated", collected)
    .option("--scope <scope>", "a scope that it has; may be repeated", collected)
    .option("--limit <quota>", "a quota that counts for it; may be repeated", collected)
    .option("--expires-at <when>", "when it expires: Unix seconds or an ISO date (default: never)")
    .option("--expires-in <duration>", "how long it lives: 90d")
    .option("--description <text>", "what it is for, for the list")
    .option("--dry-run", "say whether it could be made, and make none")
    .option("--operation <id>", "repeating an order with the same id has one effect")
    .addOption(wait())
    .action(
      running<CreateOptions, [string | undefined]>(async (invocation, principal) =>
        (await import("./commands/keys.ts")).createKey(invocation, principal),
      ),
    );
  keys
    .command("list")
    .description("the keys: whom they speak for, and when they were used last")
    .option("--principal <name>", "only those that speak for it")
    .option("--all", "those that were revoked, too")
    .action(
      running<ListKeysOptions, []>(async (invocation) =>
        (await import("./commands/keys.ts")).listKeys(invocation),
      ),
    );
  keys
    .command("rotate <id>")
    .description("give a key another secret, printed once; the one before is good for a while")
    .option("--overlap <duration>", "how long the one before is still good; 0: not at all", "24h")
    .option("--if-match <revision>", "only if the key is at this revision")
    .option("--dry-run", "say whether it could be rotated, and change nothing")
    .option("--operation <id>", "repeating an order with the same id has one effect")
    .addOption(wait())
    .action(
      running<RotateOptions, [string]>(async (invocation, id) =>
        (await import("./commands/keys.ts")).rotateKey(invocation, id),
      ),
    );
  keys
    .command("revoke <id>")
    .description("take a key back, on every proxy, for ever")
    .option("--reason <text>", "why, for the list of revocations and the audit")
    .addOption(wait())
    .action(
      running<RevokeKeyOptions, [string]>(async (invocation, id) =>
        (await import("./commands/keys.ts")).revokeKey(invocation, id),
      ),
    );
}
