import {
  Declined,
  startControlPlane,
  type ControlPlane,
  type ControlPlaneOptions,
} from "@tocsin/control-plane";
import { once, systemClock, systemRandom } from "@tocsin/shared";
import { openNatsJournals } from "@tocsin/shared/nats";
import type { AdminToken } from "./admin-token.ts";
import { controlPlaneName } from "./names.ts";
import { natsBus } from "./nats-bus.ts";
import { NotStarted, type Prelude } from "./prelude.ts";
import { clusterSessions } from "./session-store.ts";
import { version } from "./version.ts";

/** What a control plane is started with, beside its bus. */
export interface ControlPlaneStart extends Prelude {
  readonly adminToken: AdminToken;
  /** What `${NAME}` in a config refers to. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A control-plane node of a cluster. Waits for NATS as long as it takes. */
export async function startClusterControlPlane(
  options: ControlPlaneStart,
  signal: AbortSignal,
): Promise<{ readonly controlPlane: ControlPlane } & AsyncDisposable> {
  const { settings, log } = options;
  await using stack = new AsyncDisposableStack();
  const bus = stack.use(
    await natsBus(settings, "control-plane", controlPlaneName(settings), options, signal),
  );
  const { journals, audit } = stack.use(
    await openNatsJournals({ bus, clock: systemClock, log, signal }),
  );
  const { sessions } = await clusterSessions(stack, settings, log, "control-plane");
  const controlPlane = stack.use(await controlPlaneOn({ bus, journals, audit, sessions }, options));
  const owned = stack.move();
  return { controlPlane, [Symbol.asyncDispose]: once(() => owned.disposeAsync()) };
}

/** What a control plane stands on. Whoever gives it ends it. */
export type Ground = Pick<ControlPlaneOptions, "bus" | "journals" | "audit" | "sessions">;

/**
 * Starts a control plane on any bus and journals.
 *
 * @throws NotStarted with every problem when the config is not valid
 */
export async function controlPlaneOn(
  ground: Ground,
  options: ControlPlaneStart,
): Promise<ControlPlane> {
  const { settings, log, config, environment, adminToken } = options;
  try {
    return await startControlPlane({
      clock: systemClock,
      random: systemRandom,
      version,
      node: controlPlaneName(settings),
      ...ground,
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
