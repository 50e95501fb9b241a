import { readFileSync } from "node:fs";
import { OrderAnswer, type RevocationItem } from "@tocsin/shared/contract";
import { adminClient } from "../admin-client.ts";
import { understood } from "../answer.ts";
import { durationOf, longDurationOf } from "../duration.ts";
import { operationOf, repeatable } from "../operation.ts";
import { reportOrder } from "../order-report.ts";
import { withProgress } from "../progress.ts";
import { CommandFailed, type ExitCode, type Invocation, type Terminal } from "../terminal.ts";
import { revokeFile, type OrderOptions } from "./revoke-file.ts";

export interface RevokeTokenOptions extends OrderOptions {
  readonly jti?: string;
  readonly issuer?: string;
  readonly expiresAt?: string;
  readonly file?: string;
}

export interface RevokeUserOptions extends OrderOptions {
  readonly issuer?: string;
  readonly issuedBefore?: string;
  readonly file?: string;
}

/** Of what holds until it is lifted, or until then. */
export interface RevokeUntilOptions extends OrderOptions {
  readonly expiresAt?: string;
}

export interface RevokeSigningKeyOptions extends RevokeUntilOptions {
  readonly issuer: string;
}

export interface RevokeIssuerOptions extends OrderOptions {
  readonly issuedBefore?: string;
}

export interface BlockOptions extends RevokeUntilOptions {
  /** A duration from now. */
  readonly for?: string;
  readonly force?: boolean;
}

/** `tocsin revoke token [TOKEN]` */
export async function revokeToken(
  invocation: Invocation<RevokeTokenOptions>,
  token: string | undefined,
): Promise<ExitCode> {
  const { terminal, options } = invocation;
  const { jti, issuer, expiresAt, file } = options;
  if (file !== undefined) {
    if ([token, jti, issuer, expiresAt].some((given) => given !== undefined))
      throw new CommandFailed("With --file every line says what it is: give nothing beside it.");
    return revokeFile(invocation, file, { kind: "token" });
  }
  if (token !== undefined && jti !== undefined)
    throw new CommandFailed("Give either a token or --jti, not both.");
  if (jti !== undefined) {
    if (issuer === undefined)
      throw new CommandFailed("--jti needs --issuer: ids are unique for one issuer only.");
    const until =
      expiresAt === undefined ? {} : { expiresAt: secondsOf("--expires-at", expiresAt) };
    return order(invocation, { kind: "token", issuer, jti, ...until });
  }
  if (issuer !== undefined || expiresAt !== undefined)
    throw new CommandFailed("--issuer and --expires-at go with --jti; a token carries its own.");
  if (token === undefined) {
    throw new CommandFailed(
      "Which token? Give it as an argument, as @FILE, as - for standard input, or by --jti and --issuer; many by --file.",
    );
  }
  return order(invocation, { token: await textOf(terminal, token) });
}

/** `tocsin revoke user [SUBJECT]` */
export async function revokeUser(
  invocation: Invocation<RevokeUserOptions>,
  subject: string | undefined,
): Promise<ExitCode> {
  const { issuer, issuedBefore, file } = invocation.options;
  const user = {
    kind: "user" as const,
    ...(issuer === undefined ? {} : { issuer }),
    ...(issuedBefore === undefined
      ? {}
      : { issuedBefore: secondsOf("--issued-before", issuedBefore) }),
  };
  if (file !== undefined) {
    if (subject !== undefined) throw new CommandFailed("Give either a user or --file, not both.");
    return revokeFile(invocation, file, user);
  }
  if (subject === undefined)
    throw new CommandFailed("Which user? Give the subject of the tokens; many by --file.");
  return order(invocation, { ...user, subject });
}

/** `tocsin revoke session SID` */
export async function revokeSession(
  invocation: Invocation<RevokeUntilOptions>,
  sid: string,
): Promise<ExitCode> {
  return order(invocation, { kind: "session", sid, ...untilOf(invocation.options) });
}

/** `tocsin revoke client CLIENT` */
export async function revokeClient(
  invocation: Invocation<RevokeUntilOptions>,
  clientId: string,
): Promise<ExitCode> {
  return order(invocation, { kind: "client", clientId, ...untilOf(invocation.options) });
}

/** `tocsin revoke signing-key KID --issuer ISSUER` */
export async function revokeSigningKey(
  invocation: Invocation<RevokeSigningKeyOptions>,
  kid: string,
): Promise<ExitCode> {
  const { issuer } = invocation.options;
  return order(invocation, { kind: "signing-key", issuer, kid, ...untilOf(invocation.options) });
}

/** `tocsin revoke issuer ISSUER` */
export async function revokeIssuer(
  invocation: Invocation<RevokeIssuerOptions>,
  issuer: string,
): Promise<ExitCode> {
  const { issuedBefore } = invocation.options;
  const before =
    issuedBefore === undefined ? {} : { issuedBefore: secondsOf("--issued-before", issuedBefore) };
  return order(invocation, { kind: "issuer", issuer, ...before });
}

/** `tocsin revoke api-key ID` */
export async function revokeApiKey(
  invocation: Invocation<OrderOptions>,
  id: string,
): Promise<ExitCode> {
  return order(invocation, { kind: "api-key", id });
}

/** `tocsin block ADDRESS` */
export async function block(invocation: Invocation<BlockOptions>, cidr: string): Promise<ExitCode> {
  const { options, terminal } = invocation;
  if (options.for !== undefined && options.expiresAt !== undefined)
    throw new CommandFailed("Give either --for or --expires-at, not both.");
  const until =
    options.for === undefined
      ? untilOf(options)
      : {
          expiresAt: Math.ceil(
            (adminClient(terminal).clock.wall() + longDurationOf("--for", options.for)) / 1_000,
          ),
        };
  const forced = options.force === true ? { force: true } : {};
  return order(invocation, { kind: "address", cidr, ...forced, ...until });
}

function untilOf({ expiresAt }: RevokeUntilOptions): { expiresAt?: number } {
  return expiresAt === undefined ? {} : { expiresAt: secondsOf("--expires-at", expiresAt) };
}

async function order(
  invocation: Invocation<OrderOptions>,
  what: RevocationItem,
): Promise<ExitCode> {
  const { terminal, options } = invocation;
  const waitMs = durationOf("--wait", options.wait);
  const operation = operationOf(options.operation);
  const { reason } = options;
  const body = reason === undefined ? what : { ...what, reason };
  const client = adminClient(terminal);
  const { document } = await withProgress(
    terminal,
    client.clock,
    "waiting for every proxy to apply it",
    repeatable(
      operation,
      client.callJson({
        method: "POST",
        path: `/v1/revocations?wait=${waitMs}ms`,
        body: { type: "application/json", text: JSON.stringify(body) },
        headers: { "idempotency-key": operation },
        waitMs,
      }),
    ),
  );
  const answer = understood(OrderAnswer, document);
  return reportOrder(invocation, "revocations", answer, waitMs > 0);
}

/** A token as given: itself, `-` for standard input, `@file`. What a shell history or a process list shows is better not a token. */
async function textOf(terminal: Terminal, token: string): Promise<string> {
  const text =
    token === "-"
      ? await terminal.readInput()
      : token.startsWith("@")
        ? read(token.slice(1))
        : token;
  const trimmed = text.trim().replace(/^Bearer\s+/i, "");
  if (trimmed === "") throw new CommandFailed("The token is empty.");
  return trimmed;
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new CommandFailed(
      `Cannot read the token from ${file}: ${(cause as NodeJS.ErrnoException).code ?? "failed"}`,
      { cause },
    );
  }
}

/** Unix seconds out of seconds or an ISO date. */
export function secondsOf(option: string, text: string): number {
  const seconds = /^\d{1,11}(\.\d+)?$/.test(text) ? Number(text) : Date.parse(text) / 1_000;
  if (Number.isFinite(seconds) && seconds >= 0) return seconds;
  throw new CommandFailed(
    `${option}: ${JSON.stringify(text)} is neither Unix seconds (1732300000) nor a date (2026-11-23T09:00:00Z)`,
  );
}
