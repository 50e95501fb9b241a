import { ConfigApplied } from "@tocsin/shared/contract";
import { AdminProblem, adminClient, type Call } from "../admin-client.ts";
import { understood } from "../answer.ts";
import { printProblems, readConfigFile } from "../config-file.ts";
import { durationOf } from "../duration.ts";
import { reportOrder } from "../order-report.ts";
import { withProgress } from "../progress.ts";
import { printJson, type ExitCode, type Invocation } from "../terminal.ts";

/** `tocsin config validate FILE`: needs no server. */
export async function validateConfig(invocation: Invocation, file: string): Promise<ExitCode> {
  const { terminal, json } = invocation;
  const { name, source } = await readConfigFile(terminal, file);
  const { readConfig } = await import("@tocsin/control-plane/config");
  const read = readConfig(source, terminal.environment);
  if (json) printJson(terminal, read.ok ? { valid: true } : { valid: false, errors: read.errors });
  else if (read.ok) terminal.stderr.write(`${name}: valid\n`);
  else printProblems(terminal, name, read.errors, "not valid");
  return read.ok ? 0 : 1;
}

export interface ApplyOptions {
  readonly wait: string;
  readonly ifMatch?: string;
  readonly dryRun?: true;
}

/** `tocsin config apply FILE`: all of it, on every proxy, or nothing. */
export async function applyConfig(
  invocation: Invocation<ApplyOptions>,
  file: string,
): Promise<ExitCode> {
  const { terminal, json, options } = invocation;
  const waitMs = durationOf("--wait", options.wait);
  const config = await readConfigFile(terminal, file);
  const client = adminClient(terminal);
  const put: Call = {
    method: "PUT",
    path: options.dryRun ? "/v1/config?dryRun=true" : `/v1/config?wait=${waitMs}ms`,
    body: { type: config.mediaType, text: config.source },
    waitMs,
    ...(options.ifMatch === undefined ? {} : { headers: { "if-match": `"${options.ifMatch}"` } }),
  };
  try {
    const work = client.callJson(put);
    const waiting = "waiting for every proxy to apply it";
    const { document } = await withProgress(terminal, client.clock, waiting, work);
    if (options.dryRun) return reportTrial(invocation, document);
    const answer = understood(ConfigApplied, document);
    if (!json) terminal.stdout.write(`revision ${answer.revision}\n`);
    return reportOrder(invocation, "catalogue", answer, waitMs > 0);
  } catch (error) {
    const problems = error instanceof AdminProblem ? error.problem.errors : undefined;
    if (problems === undefined || problems.length === 0 || json) throw error;
    printProblems(terminal, config.name, problems, "nothing was changed");
    return 1;
  }
}

function reportTrial({ terminal, json }: Invocation, document: unknown): ExitCode {
  const { changes, revision } = document as { changes?: unknown; revision?: unknown };
  if (json) printJson(terminal, document);
  else if (changes === true)
    terminal.stdout.write(`valid; would be applied as revision ${Number(revision) + 1}\n`);
  else
    terminal.stdout.write(
      `valid; the same as revision ${String(revision)}, nothing would change\n`,
    );
  return 0;
}

/** `tocsin config show`: the applied config as it was written, secrets unresolved. */
export async function showConfig({ terminal, json }: Invocation): Promise<ExitCode> {
  const client = adminClient(terminal);
  if (json) {
    const { document } = await client.callJson({ path: "/v1/config" });
    printJson(terminal, document);
    return 0;
  }
  const { text } = await client.call({ path: "/v1/config", accept: "application/yaml" });
  terminal.stdout.write(text.endsWith("\n") || text === "" ? text : `${text}\n`);
  return 0;
}
