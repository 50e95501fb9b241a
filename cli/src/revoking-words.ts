import type { Command, Option } from "commander";
import type { ListOptions } from "./commands/revocations.ts";
import type { OrderOptions } from "./commands/revoke-file.ts";
import type {
  BlockOptions,
  RevokeIssuerOptions,
  RevokeSigningKeyOptions,
  RevokeTokenOptions,
  RevokeUntilOptions,
  RevokeUserOptions,
} from "./commands/revoke.ts";
import type { Group, Running } from "./program.ts";

/** The words that take something back, and let it count again. */
export function addRevoking(
  program: Command,
  group: Group,
  running: Running,
  wait: () => Option,
): void {
  const revoke = group(
    "revoke",
    "tokens, users, sessions, clients, keys, issuers; waits until every proxy has applied it",
  );
  revoke
    .command("token [token]")
    .description("one token: itself, @FILE, - for standard input, or --jti with --issuer")
    .option("--jti <id>", "the token's id, where the token itself is not at hand")
    .option("--issuer <issuer>", "the issuer of that id")
    .option("--expires-at <when>", "when it expires anyway: Unix seconds or an ISO date")
    .option("--file <file>", 'many (- for standard input): a token, "jti issuer" or JSON a line')
    .option("--reason <text>", "why, for the list and the audit")
    .option("--operation <id>", "repeating an order with the same id has one effect")
    .addOption(wait())
    .action(
      running<RevokeTokenOptions, [string | undefined]>(async (invocation, token) =>
        (await import("./commands/revoke.ts")).revokeToken(invocation, token),
      ),
    );
  revoke
    .command("user [subject]")
    .description("every token of a user that was issued until now; later ones are let in")
    .option("--issuer <issuer>", "only tokens of this issuer")
    .option("--issued-before <when>", "until then instead of now: Unix seconds or an ISO date")
    .option(
      "--file <file>",
      'many (- for standard input): "subject", "subject issuer" or JSON a line',
    )
    .option("--reason <text>", "why, for the list and the audit")
    .option("--operation <id>", "repeating an order with the same id has one effect")
    .addOption(wait())
    .action(
      running<RevokeUserOptions, [string | undefined]>(async (invocation, subject) =>
        (await import("./commands/revoke.ts")).revokeUser(invocation, subject),
      ),
    );
  revoke
    .command("session <sid>")
    .description("one session of this gateway, and every token with that sid")
    .option("--expires-at <when>", "when it is over anyway: Unix seconds or an ISO date")
    .option("--reason <text>", "why, for the list and the audit")
    .option("--operation <id>", "repeating an order with the same id has one effect")
    .addOption(wait())
    .action(
      running<RevokeUntilOptions, [string]>(async (invocation, sid) =>
        (await import("./commands/revoke.ts")).revokeSession(invocation, sid),
      ),
    );
  const how = (command: Command) =>
    command
      .option("--reason <text>", "why, for the list and the audit")
      .option("--operation <id>", "repeating an order with the same id has one effect")
      .addOption(wait());
  const until = (command: Command) =>
    command.option("--expires-at <when>", "hold until then only: Unix seconds or an ISO date");
  how(until(revoke.command("client <client>")))
    .description("every token that was or will be issued to a client (azp), until it is lifted")
    .action(
      running<RevokeUntilOptions, [string]>(async (invocation, client) =>
        (await import("./commands/revoke.ts")).revokeClient(invocation, client),
      ),
    );
  how(until(revoke.command("signing-key <kid>")))
    .description("every token that is signed with a key, whatever its issuer publishes")
    .requiredOption("--issuer <issuer>", "whose key it is")
    .action(
      running<RevokeSigningKeyOptions, [string]>(async (invocation, kid) =>
        (await import("./commands/revoke.ts")).revokeSigningKey(invocation, kid),
      ),
    );
  how(revoke.command("issuer <issuer>"))
    .description("every token of an issuer that was issued until now; later ones are let in")
    .option("--issued-before <when>", "until then instead of now: Unix seconds or an ISO date")
    .action(
      running<RevokeIssuerOptions, [string]>(async (invocation, issuer) =>
        (await import("./commands/revoke.ts")).revokeIssuer(invocation, issuer),
      ),
    );
  how(revoke.command("api-key <id>"))
    .description("an API key, for good, as tocsin keys revoke does")
    .action(
      running<OrderOptions, [string]>(async (invocation, id) =>
        (await import("./commands/revoke.ts")).revokeApiKey(invocation, id),
      ),
    );
  how(until(program.command("block <address>")))
    .description("nobody comes in from an address or block (10.0.0.0/8); of IPv6 its /64")
    .option("--for <duration>", "hold so long only: 15m, 24h")
    .option("--force", "also more than a /8 of IPv4 or a /16 of IPv6")
    .action(
      running<BlockOptions, [string]>(async (invocation, address) =>
        (await import("./commands/revoke.ts")).block(invocation, address),
      ),
    );
  const revocations = group("revocations", "what is revoked");
  revocations
    .command("list")
    .description("every revocation that is in force, oldest first")
    .option("--kind <kind>", "only tokens, users, …: token, user, session, client, signing-key, …")
    .option("--subject <subject>", "only of this user")
    .option("--issuer <issuer>", "only at this issuer")
    .option("--reason <text>", "only where the reason has this in it")
    .option("--all", "those that were lifted too")
    .option("--limit <count>", "not more than so many")
    .action(
      running<ListOptions, []>(async (invocation) =>
        (await import("./commands/revocations.ts")).listRevocations(invocation),
      ),
    );
  how(revocations.command("lift <id>"))
    .description("have something count again that was revoked, on every proxy; ids are in the list")
    .action(
      running<OrderOptions, [string]>(async (invocation, id) =>
        (await import("./commands/lift.ts")).liftRevocation(invocation, id),
      ),
    );
}
