/**
 * The words of the command line. What a command does is loaded when it is run: help and typing errors are answered at once.
 */
import { Command, Option } from "commander";
import type { HealthcheckOptions } from "./commands/healthcheck.ts";
import type { ApplyOptions } from "./commands/config.ts";
import type { RoutesOptions } from "./commands/routes.ts";
import type { ServeOptions } from "./commands/serve.ts";
import { addAudit } from "./audit-words.ts";
import { addLaterCommands } from "./later.ts";
import { addPurge } from "./purge-words.ts";
import type { RequestOptions } from "./route-request.ts";
import { addKeys } from "./key-words.ts";
import { addRevoking } from "./revoking-words.ts";
import { addSessions } from "./session-words.ts";
import type { ExitCode, Invocation, Terminal } from "./terminal.ts";
import { version } from "./version.ts";

export interface Program {
  readonly command: Command;
  /** What the command that was run has to say to the shell. */
  readonly exitCode: () => ExitCode;
}

export function createProgram(terminal: Terminal): Program {
  let exitCode: ExitCode = 0;
  const program = new Command("tocsin")
    .description("An API gateway whose whole fleet hears at once.")
    .version(version(), "-V, --version", "print the version")
    .option("--json", "print data as JSON, one document a line")
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .configureOutput({
      writeOut: (text) => void terminal.stdout.write(text),
      writeErr: (text) => void terminal.stderr.write(text),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .exitOverride()
    .addHelpText("after", examples);

  /** Runs what a command does, with what every command is given. */
  const running: Running =
    (run) =>
    async (...given) => {
      const command = given.pop() as Command;
      const options = given.pop();
      const json = command.optsWithGlobals()["json"] === true;
      // Commander knows no types: what it hands over is what the command declares.
      exitCode = await run({ terminal, json, options } as never, ...(given as never));
    };

  const group = (name: string, description: string) => {
    const made = program.command(name).description(description);
    addLaterCommands(made, name);
    return made;
  };

  addServing(program, running);
  addConfig(group("config", "the declarative config: validate, apply, show"), running);
  addLooking(group, running);
  addRevoking(program, group, running, wait);
  addPurge(program, running, wait);
  addSessions(group, running, wait);
  addKeys(group, running, wait);
  addAudit(program, running);
  program
    .command("healthcheck")
    .description("ask a probe whether all is well; for container health checks")
    .option("--url <url>", "probe to ask (default: /readyz on TOCSIN_PROBE_LISTEN)")
    .option("--timeout <duration>", "how long to wait for the answer", "3s")
    .action(
      running<HealthcheckOptions, []>(async (invocation) =>
        (await import("./commands/healthcheck.ts")).healthcheck(invocation),
      ),
    );
  addLaterCommands(program, "");
  return { command: program, exitCode: () => exitCode };
}

/** An action for commander out of what a command does. `Given` are the arguments, as the command declares them. */
type Action<Options, Given extends readonly unknown[]> = (
  invocation: Invocation<Options>,
  ...given: Given
) => Promise<ExitCode>;
export type Running = <Options, Given extends readonly unknown[]>(
  run: Action<Options, Given>,
) => (...given: unknown[]) => Promise<void>;
export type Group = (name: string, description: string) => Command;

function addServing(program: Command, running: Running): void {
  const roles = [
    ["standalone", "control plane and one proxy in one process; needs nothing else"],
    ["demo", "standalone with demo services and a ready config"],
    ["control-plane", "a control-plane node of a cluster (TOCSIN_NATS_URL)"],
    ["proxy", "a proxy of a cluster (TOCSIN_NATS_URL)"],
  ] as const;
  for (const [role, description] of roles) {
    const command = program.command(role).description(description);
    if (role === "standalone" || role === "control-plane")
      command.option("--config <file>", "config to apply at the start (default: TOCSIN_CONFIG)");
    const sidecar = new Option(
      "--sidecar <name=url>",
      "stand beside this one service: users=http://127.0.0.1:8001",
    ).argParser(collected);
    // Elsewhere it is known too, and told what is wrong with that.
    command.addOption(role === "proxy" ? sidecar : sidecar.hideHelp());
    command.action(
      running<ServeOptions, []>(async (invocation) =>
        (await import("./commands/serve.ts")).serve(role, invocation),
      ),
    );
  }
}

function addConfig(config: Command, running: Running): void {
  config
    .command("validate <file>")
    .description("check a config file (- for standard input); needs no server")
    .action(
      running<object, [string]>(async (invocation, file) =>
        (await import("./commands/config.ts")).validateConfig(invocation, file),
      ),
    );
  config
    .command("apply <file>")
    .description("apply a config file (- for standard input) on every proxy, all of it or nothing")
    .addOption(wait())
    .option("--dry-run", "say what would become of it, and change nothing")
    .option("--if-match <revision>", "only if this revision is the applied one")
    .action(
      running<ApplyOptions, [string]>(async (invocation, file) =>
        (await import("./commands/config.ts")).applyConfig(invocation, file),
      ),
    );
  config
    .command("show")
    .description("print the applied config as it was written")
    .action(
      running<object, []>(async (invocation) =>
        (await import("./commands/config.ts")).showConfig(invocation),
      ),
    );
}

function addLooking(group: Group, running: Running): void {
  const services = group("services", "services and their instances");
  services
    .command("list")
    .description("every instance, with its health and lease")
    .action(
      running<object, []>(async (invocation) =>
        (await import("./commands/services.ts")).listServices(invocation),
      ),
    );
  services
    .command("show <service>")
    .description("the instances of one service")
    .action(
      running<object, [string]>(async (invocation, service) =>
        (await import("./commands/services.ts")).showService(invocation, service),
      ),
    );
  addRoutes(group("routes", "which requests go where"), running);
  group("control-planes", "the nodes of the control plane")
    .command("list")
    .description("every node, and which one leads")
    .action(
      running<object, []>(async (invocation) =>
        (await import("./commands/control-planes.ts")).listControlPlanes(invocation),
      ),
    );
  group("proxies", "the fleet")
    .command("list")
    .description("every live proxy, and how much of each journal it has applied")
    .action(
      running<object, []>(async (invocation) =>
        (await import("./commands/proxies.ts")).listProxies(invocation),
      ),
    );
}

function addRoutes(routes: Command, running: Running): void {
  const config = () =>
    new Option(
      "--config <file>",
      "look at this config instead of the applied one; needs no server",
    );
  routes
    .command("list")
    .description("every route, in the order in which they are tried")
    .addOption(config())
    .action(
      running<RoutesOptions, []>(async (invocation) =>
        (await import("./commands/routes.ts")).listRoutes(invocation),
      ),
    );
  routes
    .command("test <method> <target>")
    .description("which route a request takes, why, and why none of the others; sends nothing")
    .option("-H, --header <name: value>", "a header field; may be repeated", collected)
    .option(
      "-d, --data <body>",
      "the body, JSON unless -H says otherwise; @FILE for that of a file, @- for standard input",
    )
    .addOption(config())
    .action(
      running<RoutesOptions & RequestOptions, [string, string]>(
        async (invocation, method, target) =>
          (await import("./commands/routes.ts")).testRoute(invocation, method, target),
      ),
    );
}

const collected = (value: string, before: readonly string[] = []) => [...before, value];

const wait = () =>
  new Option("--wait <duration>", "how long to wait for every proxy; 0: not at all").default("2s");

const examples = `
Examples:
  tocsin standalone --config tocsin.yaml
  tocsin config apply tocsin.yaml
  tocsin routes test POST /orders -d '{"plan":"premium"}'
  tocsin revoke user ada --reason "left the company"
  tocsin revoke token @token.txt --wait 5s
  tocsin revoke token --file leaked.txt --reason leaked
  tocsin block 203.0.113.0/24 --for 1h
  tocsin purge --user ada
  tocsin audit --since 1h

Exit codes: 0 ok, 1 error, 2 differences found, 3 not in force everywhere in time, 64 wrong settings.`;
