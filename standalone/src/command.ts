/** What a command of the program is given, so that nothing below reads the process itself. */
export interface CommandContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Data: the addresses, and with `json` one JSON line of them. */
  readonly stdout: { write(text: string): unknown };
  /** Talk. */
  readonly stderr: { write(text: string): unknown };
  readonly json: boolean;
  /** `--config FILE`; else TOCSIN_CONFIG. */
  readonly config?: string;
  /** Each `--sidecar NAME=URL`. Absent: none. */
  readonly sidecar?: readonly string[];
  /** Ends the command: the first abort drains, a second signal is the caller's to handle. */
  readonly stop: AbortSignal;
  /** Calls each time the command is to begin anew with what is on disk now, without a pause. Absent: nobody can ask for it. */
  readonly onReload?: (reload: () => void) => void;
}

/** What a command that serves has bound, as it is printed. */
export interface Bound {
  readonly role: "standalone" | "control-plane" | "proxy";
  /** Public listener of the proxy. */
  readonly proxy?: string;
  readonly probe?: string;
  /** Where the service beside a sidecar calls others. */
  readonly outbound?: string;
  readonly admin?: string;
  readonly adminTokenFile?: string;
}

/** Prints what was bound: one JSON line with `--json`, else lines for people. */
export function announce(context: CommandContext, bound: Bound): void {
  if (context.json) {
    context.stdout.write(`${JSON.stringify({ event: "listening", ...bound })}\n`);
    return;
  }
  const rows: readonly (readonly [string, string | undefined])[] = [
    ["proxy", bound.proxy],
    ["probes", bound.probe],
    ["outbound", bound.outbound],
    ["admin", bound.admin],
    ["admin token", bound.adminTokenFile],
  ];
  for (const [name, value] of rows) {
    if (value !== undefined) context.stdout.write(`${name.padEnd(12)} ${value}\n`);
  }
}
