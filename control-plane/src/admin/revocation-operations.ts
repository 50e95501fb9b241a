import {
  BulkRevocationOrder,
  OrderAnswer,
  RevocationOrder,
  RevocationPage,
  RevocationsChecked,
  RevocationTarget,
} from "@tocsin/shared/contract";
import { z } from "zod";
import { check } from "../read-body.ts";
import { filterOf, revocationFilters } from "../revocation/listing.ts";
import { namesIn, targetOf } from "../revocation/names-in.ts";
import { isRevocationId } from "../revocation/operation.ts";
import { operationOf, readOrder } from "../revocation/read-order.ts";
import { sessionsIn } from "../sessions/sessions.ts";
import { ordered } from "./ordered.ts";
import type { Operation } from "./operations.ts";
import { dryRunOf, pageQueryOf, reasonOf, waitOf } from "./query.ts";

const RevocationPath = z.strictObject({ id: z.string().min(1).max(64) });
const Lifted = OrderAnswer.extend({ lifted: RevocationTarget });

/** The calls about what is revoked. */
export const revocationOperations: readonly Operation[] = [
  {
    method: "POST",
    path: "/v1/revocations",
    id: "revoke",
    summary: "Takes credentials back, on every proxy: one, or up to 10,000 at once",
    takes: z.union([RevocationOrder, BulkRevocationOrder]),
    alsoTakes: { "application/x-ndjson": "One revocation a line." },
    gives: z.union([OrderAnswer, RevocationsChecked]),
    waits: true,
    tries: true,
    repeats: true,
    audited: true,
    bodyLimit: 32 * 1024 * 1024,
    async run(request, { revocations, sessions }) {
      const waitMs = waitOf(request.query);
      const trial = dryRunOf(request.query);
      const order = await readOrder({
        body: request.body,
        contentType: request.header("content-type"),
        key: request.header("idempotency-key"),
      });
      const [first] = order.kind === "one" ? [order.item] : order.items;
      request.about(targetOf(order), first?.reason);
      if (trial) return { status: 200, body: await revocations.check(order) };
      const answer = await revocations.revoke(order, waitMs, (item) =>
        request.about(namesIn(item)),
      );
      // In force it is already; nobody waits for the store.
      void sessions.forget(sessionsIn(order));
      return ordered(answer, waitMs);
    },
  },
  {
    method: "GET",
    path: "/v1/revocations",
    id: "listRevocations",
    summary: "What is revoked and still matters, oldest first, page by page",
    gives: RevocationPage,
    pages: true,
    asks: revocationFilters,
    run: async ({ query }, { revocations }) => ({
      status: 200,
      body: await revocations.list({ ...pageQueryOf(query), ...filterOf(query) }),
    }),
  },
  {
    method: "DELETE",
    path: "/v1/revocations/{id}",
    id: "liftRevocation",
    summary: "Has something count again that was revoked, on every proxy",
    gives: Lifted,
    asks: { reason: "Why, for the list and the audit." },
    waits: true,
    repeats: true,
    audited: true,
    async run(request, { revocations }) {
      const waitMs = waitOf(request.query);
      const { id } = check(RevocationPath, request.params);
      const reason = reasonOf(request.query);
      request.about(isRevocationId(id) ? { id } : {}, reason.reason);
      const answer = await revocations.lift(id, {
        ...operationOf(request.header("idempotency-key")),
        ...reason,
        waitMs,
      });
      request.about(answer.lifted);
      return ordered(answer, waitMs);
    },
  },
];
