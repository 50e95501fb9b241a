import { parseDuration } from "@tocsin/shared";
import {
  ApiKeyMade,
  ApiKeyPage,
  ApiKeyRevoked,
  type ApiKeyView,
  type NewApiKey,
} from "@tocsin/shared/contract";
import { adminClient, type AdminClient } from "../admin-client.ts";
import { understood } from "../answer.ts";
import { durationOf } from "../duration.ts";
import { operationOf, repeatable } from "../operation.ts";
import { reportOrder } from "../order-report.ts";
import { painter } from "../paint.ts";
import { withProgress } from "../progress.ts";
import { span, table } from "../table.ts";
import { CommandFailed, printJson, type ExitCode, type Invocation } from "../terminal.ts";
import { secondsOf } from "./revoke.ts";

interface OrderOptions {
  readonly wait: string;
  readonly operation?: string;
  readonly dryRun?: true;
}

export interface CreateOptions extends OrderOptions {
  readonly principal?: string;
  readonly role?: readonly string[];
  readonly scope?: readonly string[];
  readonly limit?: readonly string[];
  readonly expiresAt?: string;
  readonly expiresIn?: string;
  readonly description?: string;
}

export interface RotateOptions extends OrderOptions {
  readonly overlap: string;
  readonly ifMatch?: string;
}

export interface ListKeysOptions {
  readonly principal?: string;
  readonly all?: true;
}

export interface RevokeKeyOptions {
  readonly reason?: string;
  readonly wait: string;
}

/** Keys asked for at once. */
const pageSize = 1_000;

/** `tocsin keys create [PRINCIPAL]` */
export async function createKey(
  invocation: Invocation<CreateOptions>,
  given: string | undefined,
): Promise<ExitCode> {
  const { options } = invocation;
  const { role, scope, limit, description } = options;
  const client = adminClient(invocation.terminal);
  if (given !== undefined && options.principal !== undefined)
    throw new CommandFailed("Give the principal once: as the argument, or with --principal.");
  const principal = given ?? options.principal;
  if (principal === undefined)
    throw new CommandFailed(
      "Whom is the key to speak for? Give a principal: tocsin keys create billing",
    );
  const expiresAt = expiryOf(options, client.clock.wall() / 1_000);
  const asked: NewApiKey = {
    principal,
    ...(role === undefined ? {} : { roles: [...role] }),
    ...(scope === undefined ? {} : { scopes: [...scope] }),
    ...(limit === undefined ? {} : { limits: [...limit] }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(description === undefined ? {} : { description }),
  };
  return order(invocation, client, { path: "/v1/api-keys", body: asked, done: "made" });
}

/** `tocsin keys rotate ID` */
export async function rotateKey(
  invocation: Invocation<RotateOptions>,
  id: string,
): Promise<ExitCode> {
  const { terminal, options } = invocation;
  const { ifMatch } = options;
  const overlap = options.overlap === "0" ? "0s" : options.overlap;
  if (parseDuration(overlap) === undefined)
    throw new CommandFailed(
      `--overlap: ${JSON.stringify(options.overlap)} is not a duration: write 0, 1h or 7d`,
    );
  return order(invocation, adminClient(terminal), {
    path: `/v1/api-keys/${encodeURIComponent(id)}/rotate`,
    body: { overlap },
    headers: ifMatch === undefined ? {} : { "if-match": `"${ifMatch}"` },
    done: "rotated",
  });
}

interface KeyOrder {
  readonly path: string;
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
  readonly done: "made" | "rotated";
}

/** Orders a secret, and shows it: alone on standard output, so that `KEY=$(tocsin keys create …)` is the key and nothing else. */
async function order(
  invocation: Invocation<OrderOptions>,
  client: AdminClient,
  { path, body, headers = {}, done }: KeyOrder,
): Promise<ExitCode> {
  const { terminal, json, options } = invocation;
  const waitMs = durationOf("--wait", options.wait);
  const operation = operationOf(options.operation);
  const call = {
    method: "POST",
    body: { type: "application/json", text: JSON.stringify(body) },
    headers: { ...headers, "idempotency-key": operation },
  } as const;
  if (options.dryRun === true) {
    const { document } = await client.callJson({ ...call, path: `${path}?dryRun=true` });
    if (json) printJson(terminal, document);
    else terminal.stderr.write(`The key could be ${done}. Nothing was changed.\n`);
    return 0;
  }
  const { document } = await withProgress(
    terminal,
    client.clock,
    "waiting for every proxy to apply it",
    repeatable(operation, client.callJson({ ...call, path: `${path}?wait=${waitMs}ms`, waitMs })),
  );
  const answer = understood(ApiKeyMade, document);
  if (json) return reportOrder(invocation, "catalogue", answer, waitMs > 0);
  const { id, key, apiKey } = answer;
  if (key !== undefined) terminal.stdout.write(`${key}\n`);
  const talk = { ...invocation, terminal: { ...terminal, stdout: terminal.stderr } };
  const exitCode = reportOrder(talk, "catalogue", answer, waitMs > 0);
  if (key === undefined) {
    terminal.stderr.write(
      `The key ${id} was ${done} by this order before, and its secret was shown then. "tocsin keys rotate ${id}" makes another one.\n`,
    );
    // Whoever waits for a key on standard output gets none.
    return 1;
  }
  terminal.stderr.write(
    `The key ${id} of ${apiKey.principal} is not shown again: keep it where secrets are kept.\n`,
  );
  if (apiKey.overlapEndsAt !== undefined)
    terminal.stderr.write(`The one before is good until ${dateOf(apiKey.overlapEndsAt)}.\n`);
  return exitCode;
}

/** `tocsin keys revoke ID` */
export async function revokeKey(
  invocation: Invocation<RevokeKeyOptions>,
  id: string,
): Promise<ExitCode> {
  const { terminal, options } = invocation;
  const { reason } = options;
  const waitMs = durationOf("--wait", options.wait);
  const query = new URLSearchParams({
    wait: `${waitMs}ms`,
    ...(reason === undefined ? {} : { reason }),
  });
  const client = adminClient(terminal);
  const path = `/v1/api-keys/${encodeURIComponent(id)}?${query.toString()}`;
  const { document } = await withProgress(
    terminal,
    client.clock,
    "waiting for every proxy to apply it",
    client.callJson({ method: "DELETE", path, waitMs }),
  );
  return reportOrder(invocation, "revocations", understood(ApiKeyRevoked, document), waitMs > 0);
}

const heading = [
  "ID",
  "PRINCIPAL",
  "STATE",
  "CREATED",
  "EXPIRES",
  "LAST USED",
  "ROLES",
  "SCOPES",
  "DESCRIPTION",
];

/** `tocsin keys list` */
export async function listKeys(invocation: Invocation<ListKeysOptions>): Promise<ExitCode> {
  const { terminal, json, options } = invocation;
  const client = adminClient(terminal);
  const { apiKeys, usageSince } = await read(client, options.principal);
  const shown = apiKeys.filter(({ state }) => options.all === true || state !== "revoked");
  if (json) {
    printJson(terminal, { apiKeys: shown, usageSince });
    return 0;
  }
  const now = client.clock.wall() / 1_000;
  const left = apiKeys.length - shown.length;
  if (shown.length === 0) terminal.stderr.write("There is no key.\n");
  else {
    const paint = painter(terminal, terminal.stdout);
    terminal.stdout.write(
      table([heading, ...shown.map((key) => rowOf(key, now, usageSince))], {
        paint: (cell, row, column) =>
          row === 0
            ? paint("grey", cell)
            : column === 2 && cell !== "active"
              ? paint("red", cell)
              : cell,
      }),
    );
  }
  if (left > 0) terminal.stderr.write(`Revoked and not listed: ${left}. --all lists them.\n`);
  return 0;
}

/** Follows the pages to the end. */
async function read(client: AdminClient, principal: string | undefined): Promise<ApiKeyPage> {
  const apiKeys: ApiKeyView[] = [];
  for (let after: string | undefined; ;) {
    const query = new URLSearchParams({
      limit: String(pageSize),
      ...(after === undefined ? {} : { after }),
      ...(principal === undefined ? {} : { principal }),
    });
    const path = `/v1/api-keys?${query.toString()}`;
    const page: ApiKeyPage = understood(ApiKeyPage, (await client.callJson({ path })).document);
    apiKeys.push(...page.apiKeys);
    if (page.next === undefined) return { apiKeys, usageSince: page.usageSince };
    after = page.next;
  }
}

function rowOf(key: ApiKeyView, now: number, usageSince: number): string[] {
  const { id, principal, state, createdAt, expiresAt, lastUsedAt, roles, scopes, description } =
    key;
  return [
    id,
    principal,
    state,
    ago(now - createdAt),
    expiresAt === undefined ? "never" : dateOf(expiresAt),
    lastUsedAt === undefined
      ? `not in the last ${span((now - usageSince) * 1_000)}`
      : used(now - lastUsedAt),
    roles.join(",") || "none",
    scopes.join(",") || "none",
    description ?? "",
  ];
}

/** To the minute, as it is told. */
function used(seconds: number): string {
  return seconds < 120 ? "just now" : ago(seconds);
}

function ago(seconds: number): string {
  return `${span(Math.max(0, seconds) * 1_000)} ago`;
}

function dateOf(seconds: number): string {
  const date = new Date(seconds * 1_000);
  // Beyond what a date can be: as good as never.
  return Number.isNaN(date.getTime())
    ? String(seconds)
    : date.toISOString().replace(/\.000Z$/, "Z");
}

function expiryOf({ expiresAt, expiresIn }: CreateOptions, now: number): number | undefined {
  if (expiresAt !== undefined && expiresIn !== undefined)
    throw new CommandFailed("Give either --expires-at or --expires-in, not both.");
  if (expiresAt !== undefined) return secondsOf("--expires-at", expiresAt);
  if (expiresIn === undefined) return undefined;
  const durationMs = parseDuration(expiresIn);
  if (durationMs !== undefined && durationMs > 0) return Math.floor(now + durationMs / 1_000);
  throw new CommandFailed(
    `--expires-in: ${JSON.stringify(expiresIn)} is not a duration: write 12h or 90d`,
  );
}
