import {
  NewSession,
  SessionList,
  SessionMade,
  SessionQuestion,
  SessionsEnded,
} from "@tocsin/shared/contract";
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
    audited: true,
    async run({ body }, { sessions }) {
      const made = await sessions.create(readBody(NewSession, body), "admin");
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
    async run({ query }, { sessions }) {
      const waitMs = waitOf(query);
      return ended(await sessions.endAll(subjectOf(query), reasonOf(query), waitMs), waitMs);
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
    async run({ params, query }, { sessions }) {
      const waitMs = waitOf(query);
      return ended(await sessions.end(params["sid"] ?? "", reasonOf(query), waitMs), waitMs);
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
