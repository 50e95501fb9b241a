import {
  NewSession,
  SessionList,
  SessionMade,
  SessionQuestion,
  SessionsEnded,
} from "@tocsin/shared/contract";
import { SessionId } from "@tocsin/shared/sessions";
import { z } from "zod";
import { check, readBody } from "../read-body.ts";
import type { AdminReply, Operation } from "./operations.ts";
import { waitOf, type Query } from "./query.ts";

const Reason = z.string().min(1).max(200).optional();

const subject = "Whose sessions.";
const reason = "Why, for the list of revocations and the audit.";

/** The calls about sessions. */
export const sessionOperations: readonly Operation[] = [
  {
    method: "POST",
    path: "/v1/sessions",
    id: "createSession",
    summary: "Makes a session for somebody who has signed in; the cookie is told once",
    takes: NewSession,
    gives: SessionMade,
    audited: "often",
    async run({ body, about }, { sessions }) {
      const asked = readBody(NewSession, body);
      about({ subject: asked.subject });
      const made = await sessions.create(asked, "admin");
      about({ sid: made.sid });
      return { status: 201, body: made, headers: { location: `/v1/sessions/${made.sid}` } };
    },
  },
  {
    method: "GET",
    path: "/v1/sessions",
    id: "listSessions",
    summary: "The sessions of a subject, the newest first",
    gives: SessionList,
    asks: { subject },
    run: async ({ query }, { sessions }) => ({
      status: 200,
      body: await sessions.list(subjectOf(query)),
    }),
  },
  {
    method: "DELETE",
    path: "/v1/sessions",
    id: "endSessions",
    summary: "Ends every session that a subject has now, on every proxy",
    gives: SessionsEnded,
    waits: true,
    audited: true,
    asks: { subject, reason },
    async run({ query, about }, { sessions }) {
      const waitMs = waitOf(query);
      const [subject, reason] = [subjectOf(query), reasonOf(query)];
      about({ subject }, reason);
      return ended(await sessions.endAll(subject, reason, waitMs), waitMs);
    },
  },
  {
    method: "DELETE",
    path: "/v1/sessions/{sid}",
    id: "endSession",
    summary: "Ends a session: on every proxy, then in the store",
    gives: SessionsEnded,
    waits: true,
    audited: true,
    asks: { reason },
    async run({ params, query, about }, { sessions }) {
      const waitMs = waitOf(query);
      const [sid = "", reason] = [params["sid"], reasonOf(query)];
      about(SessionId.safeParse(sid).success ? { sid } : {}, reason);
      return ended(await sessions.end(sid, reason, waitMs), waitMs);
    },
  },
];

function ended(body: SessionsEnded, waitMs: number): AdminReply {
  const isEverywhere = !("applied" in body) || (body.applied.missing.length === 0 && waitMs > 0);
  return { status: isEverywhere ? 200 : 202, body };
}

function subjectOf(query: Query): string {
  return check(SessionQuestion, { subject: query["subject"] }).subject;
}

function reasonOf(query: Query): string | undefined {
  return check(Reason, query["reason"]);
}
