import type { Output, Terminal } from "./terminal.ts";

export type Colour = "red" | "green" | "yellow" | "grey";

const codes: Readonly<Record<Colour, number>> = { red: 31, green: 32, yellow: 33, grey: 90 };

/** Colours for a terminal; for a file, a pipe, or with `NO_COLOR` set (no-color.org), the text as it is. */
export function painter(
  { environment }: Terminal,
  output: Output,
): (colour: Colour, text: string) => string {
  const coloured =
    output.isTTY === true && !environment["NO_COLOR"] && environment["TERM"] !== "dumb";
  return (colour, text) => (coloured ? `\u001B[${codes[colour]}m${text}\u001B[0m` : text);
}

/** Removes what could steer a terminal: texts of services and tokens are shown, not obeyed. */
export function plain(text: string): string {
  return text.replace(/[\u0000-\u001F\u007F-\u009F]/g, "·");
}
