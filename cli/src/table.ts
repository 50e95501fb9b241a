import { plain } from "./paint.ts";

export interface TableOptions {
  /** Colours a cell after its width is known. */
  readonly paint?: (cell: string, row: number, column: number) => string;
  /** Blanks after the first column. Default 3, as after the others. */
  readonly firstGap?: number;
  /** Least widths of the columns, for rows that are written bit by bit. */
  readonly least?: readonly number[];
}

/** Rows as aligned columns. */
export function table(rows: readonly (readonly string[])[], options: TableOptions = {}): string {
  const { paint = (cell) => cell, firstGap = 3, least = [] } = options;
  const cells = rows.map((row) => row.map(plain));
  const widths = [...least];
  // The last cell of a row has nothing behind it that would have to be aligned.
  for (const row of cells)
    for (const [column, cell] of row.slice(0, -1).entries())
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
  const lines = cells.map((row, index) =>
    row
      .map((cell, column) => {
        const last = column === row.length - 1;
        const gap = last ? 0 : (widths[column] ?? 0) - cell.length + (column === 0 ? firstGap : 3);
        return paint(cell, index, column) + " ".repeat(gap);
      })
      .join(""),
  );
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}

/** Milliseconds for people: `3.1 ms`, `1.2 s`, `5 min`, `2 h`. */
export function span(durationMs: number): string {
  if (durationMs < 1_000)
    return `${durationMs < 10 ? durationMs.toFixed(1) : Math.round(durationMs)} ms`;
  if (durationMs < 60_000) return `${(durationMs / 1_000).toFixed(1)} s`;
  if (durationMs < 3_600_000) return `${Math.round(durationMs / 60_000)} min`;
  if (durationMs < 172_800_000) return `${Math.round(durationMs / 3_600_000)} h`;
  return `${Math.round(durationMs / 86_400_000)} d`;
}
