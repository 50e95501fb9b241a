/** Sessions over the bus: the same handlers and bodies as over HTTP. The subject token says which service it is. */
import { isName, messageOf, type Log } from "@tocsin/shared";
import {
  controlPlaneQueue,
  sessionRequestOf,
  subjects,
  type Bus,
  type Message,
} from "@tocsin/shared/bus";
import {
  NewSession,
  protocolVersion,
  SessionEnd,
  SessionQuestion,
  type LeaseReply,
} from "@tocsin/shared/contract";
import { SessionId } from "@tocsin/shared/sessions";
import type { Audit } from "../audit/audit.ts";
import { BusCall } from "../audit/bus-call.ts";
import { declinedOf } from "../declined-of.ts";
import { Declined } from "../problem.ts";
import { readBody } from "../read-body.ts";
import type { Sessions } from "./sessions.ts";

/** As the admin API calls them. */
const actions = { create: "createSession", list: "listSessions", end: "endSession" } as const;

/** How long an end waits for the proxies, in milliseconds. */
const endWaitMs = 2_000;

/** What requests are answered with. */
export interface SessionServer {
  readonly sessions: Sessions;
  readonly audit: Audit;
  readonly log: Log;
}

export function serveSessions(bus: Bus, server: SessionServer): Promise<AsyncDisposable> {
  return bus.subscribe(
    subjects.sessions,
    (message) => {
      void answer(message, server);
    },
    { queue: controlPlaneQueue },
  );
}

async function answer(message: Message, { sessions, audit, log }: SessionServer): Promise<void> {
  let reply: LeaseReply;
  const asked = sessionRequestOf(message.subject);
  const call = new BusCall(asked?.service, asked === undefined ? "unknown" : actions[asked.verb]);
  try {
    const body = await carryOut(asked, message, sessions, call);
    call.answered(body);
    reply = { v: protocolVersion, ok: true, body };
  } catch (error) {
    const declined = declinedOf(error);
    if (declined.status >= 500)
      log.error({ subject: message.subject, cause: messageOf(error) }, "request failed");
    call.declined(declined);
    const { code, status, title, detail, errors } = declined;
    reply = {
      v: protocolVersion,
      ok: false,
      problem: {
        code,
        status,
        title,
        ...(detail === undefined ? {} : { detail }),
        ...(errors === undefined ? {} : { errors: [...errors] }),
      },
    };
  }
  // Who signs in is not kept waiting for the audit.
  message.respond(JSON.stringify(reply));
  if (asked?.verb !== "list" || !reply.ok) await call.writeTo(audit);
}

function carryOut(
  asked: ReturnType<typeof sessionRequestOf>,
  message: Message,
  sessions: Sessions,
  call: BusCall,
): Promise<unknown> {
  if (asked === undefined || !isName(asked.service))
    throw new Declined(400, "bad-request", "The subject names no service");
  const text = message.text();
  switch (asked.verb) {
    case "create": {
      const wanted = readBody(NewSession, text);
      call.about({ subject: wanted.subject });
      return sessions.create(wanted, `service:${asked.service}`);
    }
    case "list":
      return sessions.list(readBody(SessionQuestion, text).subject);
    case "end": {
      const end = readBody(SessionEnd, text);
      if (!("sid" in end)) call.about({ subject: end.subject }, end.reason);
      else call.about(SessionId.safeParse(end.sid).success ? { sid: end.sid } : {}, end.reason);
      return "sid" in end
        ? sessions.end(end.sid, end.reason, endWaitMs)
        : sessions.endAll(end.subject, end.reason, endWaitMs);
    }
    default:
      return asked.verb satisfies never;
  }
}
