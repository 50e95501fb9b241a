/** How each role is put together: which bus, which journals, which parts. */
import { hostname } from "node:os";
import { join } from "node:path";
import { Declined, startControlPlane, type ControlPlane } from "@tocsin/control-plane";
import { startProxy, type Proxy } from "@tocsin/proxy";
import { nodeName, once, systemClock, systemRandom, type Settings } from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import type { Journals } from "@tocsin/shared/journal";
import type { AdminToken } from "./admin-token.ts";
import { NotStarted, type Prelude } from "./prelude.ts";
import { version } from "./version.ts";

const system = { clock: systemClock, random: systemRandom, version };

/** What a control plane is started with, beside its bus. */
export interface ControlPlaneStart extends Prelude {
  readonly adminToken: AdminToken;
  /** What `${NAME}` in a config refers to. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface Standalone extends AsyncDisposable {
  readonly controlPlane: ControlPlane;
  readonly proxy: Proxy;
}

/** Both planes in one process, on the embedded bus and journals. */
export async function startStandalone(
  options: ControlPlaneStart & { readonly journalDirectory?: string },
): Promise<Standalone> {
  const { settings, log } = options;
  const { createEmbeddedBus, openEmbeddedStore } = await import("@tocsin/shared/embedded");
  await using stack = new AsyncDisposableStack();
  const bus = stack.use(createEmbeddedBus({ log }));
  const directory = options.journalDirectory ?? join(settings.TOCSIN_STATE_DIR, "journal");
  const { journals } = stack.use(
    await openEmbeddedStore(directory, { bus, clock: systemClock, log }),
  );
  const controlPlane = stack.use(await controlPlaneOn(bus, journals, options));
  // No last good snapshot: the journal of this very process is the truth, a file beside it could only be older.
  const proxy = stack.use(
    await startProxy({
      ...system,
      ...proxyOptions(settings),
      bus,
      log: log.child({ part: "proxy" }),
      accessLines: (lines) => log.lines(lines),
    }),
  );
  // Both planes are here: what is announced answers.
  await proxy.ready;
  const owned = stack.move();
  return { controlPlane, proxy, [Symbol.asyncDispose]: once(() => owned.disposeAsync()) };
}

/** A control-plane node of a cluster. Waits for NATS as long as it takes. */
export async function startClusterControlPlane(
  options: ControlPlaneStart,
  signal: AbortSignal,
): Promise<{ readonly controlPlane: ControlPlane } & AsyncDisposable> {
  const { settings, log } = options;
  const { openNatsJournals } = await import("@tocsin/shared/nats");
  await using stack = new AsyncDisposableStack();
  const bus = stack.use(
    await natsBus(settings, "control-plane", controlPlaneName(settings), options, signal),
  );
  const { journals } = stack.use(await openNatsJournals({ bus, clock: systemClock, log, signal }));
  const controlPlane = stack.use(await controlPlaneOn(bus, journals, options));
  const owned = stack.move();
  return { controlPlane, [Symbol.asyncDispose]: once(() => owned.disposeAsync()) };
}

/** How long a proxy waits for NATS before it starts with what it has on disk, in milliseconds. */
const proxyPatienceMs = 2_000;

/** A proxy of a cluster. Starts without NATS too: with its last good snapshot, or not ready until it hears one. */
export async function startClusterProxy(
  options: Prelude,
  signal: AbortSignal,
): Promise<{ readonly proxy: Proxy } & AsyncDisposable> {
  const { settings, log } = options;
  await using stack = new AsyncDisposableStack();
  const node = proxyOptions(settings).node;
  const bus = stack.use(await natsBus(settings, "proxy", node, options, signal, proxyPatienceMs));
  const proxy = stack.use(
    await startProxy({
      ...system,
      ...proxyOptions(settings),
      node,
      bus,
      log,
      accessLines: (lines) => log.lines(lines),
      stateDirectory: settings.TOCSIN_STATE_DIR,
    }),
  );
  const owned = stack.move();
  return { proxy, [Symbol.asyncDispose]: once(() => owned.disposeAsync()) };
}

async function natsBus(
  settings: Settings,
  role: "proxy" | "control-plane",
  node: string,
  { log }: Prelude,
  signal: AbortSignal,
  firstConnectTimeoutMs?: number,
) {
  if (settings.TOCSIN_NATS_URL === undefined) {
    throw new NotStarted(
      64,
      `TOCSIN_NATS_URL: a ${role} of a cluster needs it. For one machine without NATS: tocsin standalone`,
    );
  }
  const { connectNats } = await import("@tocsin/shared/nats");
  return connectNats({
    servers: settings.TOCSIN_NATS_URL.reveal().split(","),
    ...(settings.TOCSIN_NATS_CREDENTIALS === undefined
      ? {}
      : { credentials: settings.TOCSIN_NATS_CREDENTIALS }),
    node,
    role,
    clock: systemClock,
    log,
    signal,
    ...(firstConnectTimeoutMs === undefined ? {} : { firstConnectTimeoutMs }),
  });
}

async function controlPlaneOn(
  bus: Bus,
  journals: Journals,
  options: ControlPlaneStart,
): Promise<ControlPlane> {
  const { settings, log, config, environment, adminToken } = options;
  try {
    return await startControlPlane({
      ...system,
      node: controlPlaneName(settings),
      bus,
      journals,
      log: log.child({ part: "control-plane" }),
      admin: { ...settings.TOCSIN_ADMIN_LISTEN, token: adminToken.token },
      environment,
      ...(config === undefined ? {} : { config }),
    });
  } catch (error) {
    if (!(error instanceof Declined)) throw error;
    const places = (error.errors ?? []).map(
      ({ pointer, message, line, column }) =>
        `${config?.name ?? "config"}:${line ?? 1}:${column ?? 1} ${pointer} ${message}`,
    );
    throw new NotStarted(
      1,
      [error.title, ...(error.detail === undefined ? [] : [error.detail]), ...places].join("\n"),
    );
  }
}

function controlPlaneName(settings: Settings): string {
  return settings.TOCSIN_CONTROL_PLANE_ID ?? nodeName(hostname(), systemRandom);
}

function proxyOptions(settings: Settings) {
  return {
    node: settings.TOCSIN_PROXY_ID ?? nodeName(hostname(), systemRandom),
    listen: settings.TOCSIN_LISTEN,
    probeListen: settings.TOCSIN_PROBE_LISTEN,
    drainTimeoutMs: settings.TOCSIN_DRAIN_TIMEOUT,
  };
}
