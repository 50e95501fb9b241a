import { AuditPage } from "@tocsin/shared/contract";
import { auditParameters, auditQueryOf } from "../audit/listing.ts";
import type { Operation } from "./operations.ts";

/** The call about who ordered what. */
export const auditOperations: readonly Operation[] = [
  {
    method: "GET",
    path: "/v1/audit",
    id: "showAudit",
    summary: "Who ordered what, when, and with which outcome, the newest first",
    gives: AuditPage,
    asks: auditParameters,
    run: async ({ query }, { audit }) => ({
      status: 200,
      body: await audit.page(auditQueryOf(query)),
    }),
  },
];
