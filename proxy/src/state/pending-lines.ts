import type { Position } from "./last-good.ts";
import { baseLine } from "./tail.ts";

/** A line that is on its way to the tail. */
export interface PendingLine {
  /** What is kept when it is written. */
  readonly number: number;
  readonly text: string;
  /** Where the table stood, and where it stands after it. */
  readonly before: Position;
  readonly after: Position;
  /** Another one: the table was replaced in between, or a line is missing. */
  readonly history: number;
}

/** What the last line on disk, or the whole state, stands for. */
export interface LastLine {
  readonly history: number;
  readonly position: Position;
}

/**
 * Lines as they are written, with what they build on where that must be said: at the beginning of a file, and where they do not
 * follow the one before.
 */
export function textOf(
  lines: readonly PendingLine[],
  last: LastLine | undefined,
  fresh: boolean,
): string {
  let text = "";
  let before = last;
  for (const line of lines) {
    const follows = before?.history === line.history;
    // Between a line and the one before it nothing lies that was to be kept, whatever their numbers.
    const base = follows ? before!.position : line.before;
    if (!follows || (text === "" && fresh)) text += baseLine(base.epoch, base.applied);
    text += line.text;
    before = { history: line.history, position: line.after };
  }
  return text;
}
