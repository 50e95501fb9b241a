import { shown } from "@tocsin/shared";
import {
  type AuditTarget,
  ApiKeyChecked,
  ApiKeyId,
  ApiKeyMade,
  ApiKeyPage,
  ApiKeyRevoked,
  ApiKeyView,
  NewApiKey,
  RotateApiKey,
} from "@tocsin/shared/contract";
import { z } from "zod";
import { keyParameters, keyQueryOf, pageOf } from "../api-keys/listing.ts";
import { Declined } from "../problem.ts";
import { check, readBody } from "../read-body.ts";
import { operationOf } from "../revocation/read-order.ts";
import type { AdminReply, AdminRequest, Operation } from "./operations.ts";
import { dryRunOf, waitOf } from "./query.ts";

const Reason = z.string().min(1).max(200).optional();

/** The calls about API keys. */
export const apiKeyOperations: readonly Operation[] = [
  {
    method: "POST",
    path: "/v1/api-keys",
    id: "createApiKey",
    summary: "Makes an API key, and tells it once; a repetition does not tell it again",
    takes: NewApiKey,
    gives: z.union([ApiKeyMade, ApiKeyChecked]),
    waits: true,
    tries: true,
    repeats: true,
    audited: true,
    async run(request, { apiKeys }) {
      const asked = readBody(NewApiKey, request.body);
      const { principal, roles = [], scopes = [] } = asked;
      request.about({ principal, roles: roles.join(" "), scopes: scopes.join(" ") });
      const terms = termsOf(request);
      if (dryRunOf(request.query)) {
        apiKeys.check(asked);
        return { status: 200, body: { valid: true } };
      }
      const made = await apiKeys.create(asked, terms);
      request.about({ id: made.id });
      const status = made.repeated === true ? 200 : 201;
      const location = `/v1/api-keys/${made.id}`;
      return ordered(made, terms.waitMs, status, { location });
    },
  },
  {
    method: "GET",
    path: "/v1/api-keys",
    id: "listApiKeys",
    summary:
      "The API keys, oldest first, page by page: whom they speak for, and when they were used",
    gives: ApiKeyPage,
    asks: keyParameters,
    run: ({ query }, { apiKeys, lastUsed }) => ({
      status: 200,
      body: pageOf(apiKeys, lastUsed, keyQueryOf(query)),
    }),
  },
  {
    method: "GET",
    path: "/v1/api-keys/{id}",
    id: "showApiKey",
    summary: "One API key, without its secret",
    gives: ApiKeyView,
    run({ params }, { apiKeys }) {
      const view = apiKeys.one(idOf(params));
      return { status: 200, body: view, headers: { etag: `"${view.revision}"` } };
    },
  },
  {
    method: "POST",
    path: "/v1/api-keys/{id}/rotate",
    id: "rotateApiKey",
    summary: "Gives an API key another secret, told once; the one before is good for a while",
    takes: RotateApiKey,
    gives: z.union([ApiKeyMade, ApiKeyChecked]),
    waits: true,
    tries: true,
    repeats: true,
    audited: true,
    async run(request, { apiKeys }) {
      const id = idOf(request.params);
      request.about(namesOf(id));
      const { overlap } = readBody(RotateApiKey, request.body);
      const ifRevision = revisionOf(request.header("if-match"));
      const terms = termsOf(request);
      if (dryRunOf(request.query)) {
        apiKeys.checkRotation(id, ifRevision);
        return { status: 200, body: { valid: true } };
      }
      const made = await apiKeys.rotate(id, { ...terms, overlapMs: overlap, ifRevision });
      return ordered(made, terms.waitMs, 200);
    },
  },
  {
    method: "DELETE",
    path: "/v1/api-keys/{id}",
    id: "revokeApiKey",
    summary: "Takes an API key back, on every proxy, for ever",
    gives: ApiKeyRevoked,
    waits: true,
    audited: true,
    asks: { reason: "Why, for the list of revocations and the audit." },
    async run({ params, query, about }, { apiKeys }) {
      const waitMs = waitOf(query);
      const reason = check(Reason, query["reason"]);
      const id = idOf(params);
      about(namesOf(id), reason);
      return ordered(await apiKeys.revoke(id, { reason, waitMs }), waitMs, 200);
    },
  },
];

function termsOf(request: AdminRequest) {
  const { operation } = operationOf(request.header("idempotency-key"));
  return { operation, waitMs: waitOf(request.query) };
}

/** What is no id is that of no key: there is nothing to explain. */
function idOf(params: AdminRequest["params"]): string {
  return params["id"] ?? "";
}

/** Somebody may have given the key itself where its id belongs. */
function namesOf(id: string): AuditTarget {
  return ApiKeyId.safeParse(id).success ? { id } : {};
}

/** @param status when it is in force everywhere; 202 when it is durable and some are still missing */
function ordered(
  body: ApiKeyMade | ApiKeyRevoked,
  waitMs: number,
  status: number,
  headers: Readonly<Record<string, string>> = {},
): AdminReply {
  const isEverywhere = body.applied.missing.length === 0 && waitMs > 0;
  const etag = `"${body.apiKey.revision}"`;
  return { status: isEverywhere ? status : 202, body, headers: { ...headers, etag } };
}

/** RFC 9110 §13.1.1: `*` is any revision. @throws Declined 400 when it is neither */
function revisionOf(header: string | undefined): number | undefined {
  if (header === undefined || header.trim() === "*") return undefined;
  const revision = /^"?(\d{1,9})"?$/.exec(header.trim())?.[1];
  if (revision !== undefined) return Number(revision);
  throw new Declined(400, "bad-request", "If-Match is not understood", {
    detail: `Found ${shown(header)}, allowed: a revision in quotes, such as "3".`,
  });
}
