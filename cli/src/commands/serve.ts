import { CommandFailed, type ExitCode, type Invocation } from "../terminal.ts";

export interface ServeOptions {
  readonly config?: string;
  /** Each `--sidecar`. */
  readonly sidecar?: readonly string[];
}

type Role = "standalone" | "demo" | "control-plane" | "proxy";

/** `tocsin standalone`, `demo`, `control-plane`, `proxy`: run until told to stop. */
export async function serve(role: Role, invocation: Invocation<ServeOptions>): Promise<ExitCode> {
  const { terminal, json, options } = invocation;
  if (options.sidecar !== undefined && role !== "proxy")
    throw new CommandFailed(
      `--sidecar: a sidecar is part of a cluster, and ${role} is none. On the cluster's bus: tocsin proxy --sidecar ${options.sidecar[0]}`,
      { exitCode: 64 },
    );
  // First of all: a signal that comes while everything is still being loaded is a wish to stop, too.
  const stop = terminal.untilStopped();
  const { runControlPlane, runDemo, runProxy, runStandalone } = await import("@tocsin/standalone");
  const run = {
    standalone: runStandalone,
    demo: runDemo,
    "control-plane": runControlPlane,
    proxy: runProxy,
  }[role];
  const { environment, stdout, stderr, onReload } = terminal;
  const { config, sidecar } = options;
  return run({
    environment,
    stdout,
    stderr,
    json,
    stop,
    ...(onReload === undefined ? {} : { onReload }),
    ...(config === undefined ? {} : { config }),
    ...(sidecar === undefined ? {} : { sidecar }),
  });
}
