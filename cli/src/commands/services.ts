import { ServiceView } from "@tocsin/shared/contract";
import { adminClient } from "../admin-client.ts";
import { understood, understoodList } from "../answer.ts";
import { painter, type Colour } from "../paint.ts";
import { span, table } from "../table.ts";
import { printJson, type ExitCode, type Invocation } from "../terminal.ts";

type InstanceView = ServiceView["instances"][number];

const heading = ["SERVICE", "INSTANCE", "VERDICT", "STATE", "URL", "WEIGHT", "LEASE", "WHY"];

/** `tocsin services list` */
export async function listServices(invocation: Invocation): Promise<ExitCode> {
  const { document } = await adminClient(invocation.terminal).callJson({ path: "/v1/services" });
  const services = understoodList(ServiceView.array(), "services", document);
  show(invocation, services, document, whenNone(services));
  return 0;
}

function whenNone(services: readonly ServiceView[]): string {
  const names = services.map(({ service }) => service).join(", ");
  return names === ""
    ? "No service has registered yet, and the config names none."
    : `No instance of ${names} is there: none has registered, and the config names none.`;
}

/** `tocsin services show SERVICE` */
export async function showService(invocation: Invocation, service: string): Promise<ExitCode> {
  const path = `/v1/services/${encodeURIComponent(service)}`;
  const { document } = await adminClient(invocation.terminal).callJson({ path });
  show(invocation, [understood(ServiceView, document)], document, `${service} has no instance.`);
  return 0;
}

function show(
  { terminal, json }: Invocation,
  services: readonly ServiceView[],
  document: unknown,
  whenEmpty: string,
): void {
  if (json) return printJson(terminal, document);
  if (services.every(({ instances }) => instances.length === 0)) {
    terminal.stderr.write(`${whenEmpty}\n`);
    return;
  }
  const paint = painter(terminal, terminal.stdout);
  const rows = services.flatMap(({ service, instances }) =>
    instances.length === 0
      ? [[service, "none", "", "", "", "", "", ""]]
      : instances.map((instance) => rowOf(service, instance)),
  );
  terminal.stdout.write(
    table([heading, ...rows], {
      paint: (cell, row, column) =>
        row === 0
          ? paint("grey", cell)
          : column === 2
            ? paint(colours[cell] ?? "grey", cell)
            : cell,
    }),
  );
}

function rowOf(service: string, instance: InstanceView): string[] {
  return [
    service,
    instance.instance,
    instance.verdict,
    instance.state,
    instance.url,
    String(instance.weight),
    instance.lease === undefined ? instance.source : `${span(instance.lease.remainingMs)} left`,
    whyOf(instance),
  ];
}

const colours: Readonly<Record<string, Colour>> = {
  healthy: "green",
  unhealthy: "red",
  unknown: "yellow",
};

function whyOf({ reason, by, circuit }: InstanceView): string {
  return [reason, by === undefined ? undefined : `says ${by}`, circuit && circuitOf(circuit)]
    .filter(Boolean)
    .join(", ");
}

/** `circuit open on 1 of 12`; nothing when all is well. */
function circuitOf({ open, halfOpen, of }: NonNullable<InstanceView["circuit"]>): string {
  const standing = [
    open === 0 ? "" : `open on ${open}`,
    halfOpen === 0 ? "" : `half-open on ${halfOpen}`,
  ].filter(Boolean);
  return standing.length === 0 ? "" : `circuit ${standing.join(", ")} of ${of}`;
}
