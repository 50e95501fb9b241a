/** Who ordered what, when, and with which outcome: the record in the store, and what the admin API tells of it. */
import { z } from "zod";
import { protocolVersion } from "./messages.ts";

export const auditOutcomes = ["done", "refused", "failed"] as const;

/** What a call was about, in names: `{ kind: "user", subject: "ada" }`. Never a secret. */
export const AuditTarget = z.record(z.string().max(32), z.union([z.string(), z.number()]));
export type AuditTarget = z.infer<typeof AuditTarget>;

export const AuditRecord = z.object({
  v: z.literal(protocolVersion),
  id: z.string().describe("Of this record, random."),
  at: z.number().describe("When the outcome was known, in Unix milliseconds."),
  node: z.string().describe("The control plane that was asked."),
  who: z
    .string()
    .describe(
      "`admin:` and the first characters of the token's SHA-256, `service:` and its name on the bus, `start` for the config of a start, `unknown`.",
    ),
  via: z.enum(["http", "bus", "start"]),
  from: z.string().optional().describe("Address of the peer."),
  agent: z.string().optional().describe("What it called itself (`User-Agent`)."),
  request: z.string().optional().describe("`X-Request-Id` of the answer."),
  method: z.string().optional(),
  path: z.string().optional().describe("As the OpenAPI document writes it, without values."),
  action: z.string().describe("The `operationId` of the OpenAPI document, or `unknown`."),
  target: AuditTarget.optional(),
  outcome: z
    .enum(auditOutcomes)
    .describe("`refused`: the asker's fault (4xx). `failed`: ours (5xx), see `code`."),
  status: z.int(),
  code: z.string().optional().describe("Of the problem document."),
  operation: z.string().optional().describe("Of the order; repeating it has one effect."),
  sequence: z.int().optional().describe("The entry in its journal."),
  epoch: z.string().optional(),
  applied: z
    .object({
      expected: z.int(),
      count: z.int(),
      ms: z.number(),
      missing: z.array(z.string()).optional().describe("Proxies, the first 20."),
    })
    .optional()
    .describe("How far the order had come when it was answered."),
  repeated: z.literal(true).optional().describe("The order was durable before."),
  reason: z.string().optional(),
  count: z
    .int()
    .optional()
    .describe("The record stands for so many calls like this one, the last of them at `at`."),
  since: z.number().optional().describe("Of several: the first of them, in Unix milliseconds."),
});
export type AuditRecord = z.infer<typeof AuditRecord>;

export const AuditView = AuditRecord.omit({ v: true }).extend({
  position: z.int().describe("In the audit; what `before` and `after` are compared with."),
});
export type AuditView = z.infer<typeof AuditView>;

/** `GET /v1/audit`: newest first, or, with `after`, oldest first. */
export const AuditPage = z.object({
  records: z.array(AuditView),
  /**
   * Where the next page begins: `?before=`, absent when there is no more. With `after` the next `?after=`, always there, as there may
   * be more at any moment.
   */
  next: z.int().optional(),
  /** Records that this version cannot read. */
  unreadable: z.int().optional(),
});
export type AuditPage = z.infer<typeof AuditPage>;
