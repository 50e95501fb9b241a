/** Before and after measuring: does it answer what the others answer, and did it do its work? */
import { createReadStream } from "node:fs";
import { readFileSync } from "node:fs";
import { body } from "./body.ts";
import type { Started } from "./contender.ts";

/** The path that is asked for, below a prefix and with a query, as usual for an API. */
export const path = "/api/catalogue/items/42?fields=all";

/** @throws Error when the answer is not 200 with the body that everybody answers */
export async function verifyAnswer(name: string, started: Started): Promise<void> {
  const token =
    started.tokenFile === undefined
      ? undefined
      : readFileSync(started.tokenFile, "utf8").split("\n", 1)[0];
  const answer = await ask(started.url, token);
  if (answer.status !== 200 || answer.text !== body) {
    throw new Error(
      `${name} does not answer 200 with the expected body: ${answer.status} ${answer.text.slice(0, 200)}`,
    );
  }
  await started.prove?.();
}

export async function ask(
  url: string,
  token?: string,
): Promise<{ readonly status: number; readonly text: string }> {
  const answer = await fetch(url + path, {
    ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
    signal: AbortSignal.timeout(5_000),
  });
  return { status: answer.status, text: await answer.text() };
}

/** Logs are written in batches: the last one may still be on its way for this long, in milliseconds. */
const logLagMs = 1_000;

/** @throws Error when fewer lines were logged than requests answered */
export async function verifyLog(name: string, file: string, requests: number): Promise<void> {
  const deadline = performance.now() + logLagMs;
  let lines = await linesOf(file);
  while (lines < requests && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    lines = await linesOf(file);
  }
  if (lines < requests)
    throw new Error(`${name} answered ${requests} requests and logged ${lines}`);
}

async function linesOf(file: string): Promise<number> {
  let lines = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
    const bytes = chunk as Buffer;
    for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) lines++;
  }
  return lines;
}
