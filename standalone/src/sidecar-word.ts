import { isName, type ServiceName } from "@tocsin/shared";
import { InstanceUrl } from "@tocsin/shared/contract";
import { NotStarted } from "./prelude.ts";

/** The service beside which a proxy stands. */
export interface Beside {
  readonly service: ServiceName;
  /** Scheme, host and port of its one instance. */
  readonly url: string;
}

/**
 * Reads `--sidecar NAME=URL`.
 *
 * @throws NotStarted when it is something else, or is there more than once
 */
export function besideOf(words: readonly string[]): Beside {
  const [word = "", ...more] = words;
  if (more.length > 0)
    throw new NotStarted(
      64,
      `--sidecar: a sidecar stands beside one service, found ${words.length}. Start another one for each: tocsin proxy --sidecar ${more[0]}`,
    );
  const at = word.indexOf("=");
  const service = word.slice(0, Math.max(0, at));
  const url = InstanceUrl.safeParse(word.slice(at + 1));
  if (!isName(service) || !url.success)
    throw new NotStarted(
      64,
      `--sidecar: found ${JSON.stringify(word)}, allowed: NAME=URL with the name of a service and the http or https URL of its instance (scheme, host, port), as users=http://127.0.0.1:8001`,
    );
  return { service, url: url.data };
}
