import { parseDuration, type Milliseconds } from "@tocsin/shared";
import { CommandFailed } from "./terminal.ts";

/** Reads a duration of the command line; `0` is none at all. @throws CommandFailed naming the option */
export function durationOf(option: string, text: string): Milliseconds {
  const durationMs = text === "0" ? 0 : parseDuration(text);
  if (durationMs === undefined || durationMs > 60_000) {
    throw new CommandFailed(
      `${option}: ${JSON.stringify(text)} is not a duration up to 1m: write 0, 500ms or 2s`,
    );
  }
  return durationMs;
}

/** The same without a bound. @throws CommandFailed naming the option */
export function longDurationOf(option: string, text: string): Milliseconds {
  const durationMs = parseDuration(text);
  if (durationMs !== undefined && durationMs > 0) return durationMs;
  throw new CommandFailed(
    `${option}: ${JSON.stringify(text)} is not a duration: write 90s, 15m or 24h`,
  );
}
