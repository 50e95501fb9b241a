/** How the look-up of users asks its service: as a request of a client is sent, but quickly, and for a short answer. */
import type { Config } from "@tocsin/shared/contract";
import type { Ask } from "./identity/users/questions.ts";
import { policiesOf } from "./routing/policies.ts";
import { hurried, putQuestion } from "./upstream/question.ts";
import type { Upstreams } from "./upstream/upstreams.ts";

const maxAnswerBytes = 64 * 1024;

/** Undefined where nobody is to be asked. */
export function userQuestions(config: Config, upstreams: Pick<Upstreams, "send">): Ask | undefined {
  const { users } = config.identity;
  if (users === undefined) return undefined;
  const policy = hurried(policiesOf(config)(users.service), users.timeout);
  return (target) => putQuestion(upstreams, policy, { target, maxBytes: maxAnswerBytes });
}
