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
import { declinedOf } from "../declined-of.ts";
import { Declined } from "../problem.ts";
import { readBody } from "../read-body.ts";
import type { Sessions } from "./sessions.ts";

/** How long an end waits for the proxies, in milliseconds. */
const endWaitMs = 2_000;

export function serveSessions(bus: Bus, sessions: Sessions, log: Log): Promise<AsyncDisposable> {
  return bus.subscribe(
    subjects.sessions,
    (message) => {
      void answer(message, sessions, log);
    },
    { queue: controlPlaneQueue },
  );
}

async function answer(message: Message, sessions: Sessions, log: Log): Promise<void> {
  let reply: LeaseReply;
  const asked = sessionRequestOf(message.subject);
  let outcome: object = { outcome: 200 };
  try {
    reply = { v: protocolVersion, ok: true, body: await carryOut(asked, message, sessions) };
  } catch (error) {
    const declined = declinedOf(error);
    if (declined.status >= 500)
      log.error({ subject: message.subject, cause: messageOf(error) }, "request failed");
    const { code, status, title, detail, errors } = declined;
    outcome = { outcome: status, code };
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
  if (asked !== undefined && asked.verb !== "list")
    log.info(
      { event: "audit", who: `service:${asked.service}`, what: `${asked.verb}Session`, ...outcome },
      "audit",
    );
  message.respond(JSON.stringify(reply));
}

function carryOut(
  asked: ReturnType<typeof sessionRequestOf>,
  message: Message,
  sessions: Sessions,
): Promise<unknown> {
  if (asked === undefined || !isName(asked.service))
    throw new Declined(400, "bad-request", "The subject names no service");
  const text = message.text();
  switch (asked.verb) {
    case "create":
      return sessions.create(readBody(NewSession, text), `service:${asked.service}`);
    case "list":
      return sessions.list(readBody(SessionQuestion, text).subject);
    case "end": {
      const end = readBody(SessionEnd, text);
      return "sid" in end
        ? sessions.end(end.sid, end.reason, endWaitMs)
        : sessions.endAll(end.subject, end.reason, endWaitMs);
    }
    default:
      return asked.verb satisfies never;
  }
}
