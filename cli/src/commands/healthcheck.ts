import { messageOf, systemClock, type Address } from "@tocsin/shared";
import { durationOf } from "../duration.ts";
import { exchange } from "../http.ts";
import { settingsOf } from "../settings.ts";
import { CommandFailed, printJson, type ExitCode, type Invocation } from "../terminal.ts";

export interface HealthcheckOptions {
  readonly url?: string;
  readonly timeout: string;
}

/** `tocsin healthcheck`: 0 when a probe answers 2xx, else 1. For container health checks, where there is no curl. */
export async function healthcheck(invocation: Invocation<HealthcheckOptions>): Promise<ExitCode> {
  const { terminal, json, options } = invocation;
  const url = urlOf(options.url ?? readyz(settingsOf(terminal).TOCSIN_PROBE_LISTEN));
  const timeoutMs = durationOf("--timeout", options.timeout);
  const { status, text } = await exchange(systemClock, { method: "GET", url, timeoutMs }).catch(
    (cause: unknown) => {
      const why = messageOf(cause) || (cause as NodeJS.ErrnoException).code;
      throw new CommandFailed(`${url.href} does not answer: ${why}`, { cause });
    },
  );
  const healthy = status >= 200 && status < 300;
  if (json) printJson(terminal, { url: url.href, status, healthy });
  else if (healthy) terminal.stdout.write(`${url.href} ${status}\n`);
  if (!healthy && !json) terminal.stderr.write(`${url.href} ${status}\n${text.slice(0, 2_000)}\n`);
  return healthy ? 0 : 1;
}

/** The proxy's readiness, on this machine. */
function readyz({ host, port }: Address): string {
  const near = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "[::1]" : host;
  return `http://${near.includes(":") && !near.startsWith("[") ? `[${near}]` : near}:${port}/readyz`;
}

function urlOf(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !["http:", "https:"].includes(url.protocol))
    throw new CommandFailed(`--url: ${JSON.stringify(text)} is not an http or https URL`);
  return url;
}
