import { join } from "node:path";
import type { ControlPlane } from "@tocsin/control-plane";
import { startProxy, type Proxy } from "@tocsin/proxy";
import { once, systemClock, systemRandom } from "@tocsin/shared";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import { controlPlaneOn, type ControlPlaneStart } from "./control-plane.ts";
import { proxyOptions } from "./names.ts";
import { sessionPatienceMs, sessionStore } from "./session-store.ts";
import { version } from "./version.ts";

export interface Standalone extends AsyncDisposable {
  readonly controlPlane: ControlPlane;
  readonly proxy: Proxy;
}

/** Both planes in one process, on the embedded bus and journals. */
export async function startStandalone(
  options: ControlPlaneStart & { readonly journalDirectory?: string },
): Promise<Standalone> {
  const { settings, log } = options;
  if ((settings.TOCSIN_WORKERS ?? 1) > 1)
    log.warn({}, "standalone is one process: TOCSIN_WORKERS has no effect");
  await using stack = new AsyncDisposableStack();
  const bus = stack.use(createEmbeddedBus({ log }));
  const directory = options.journalDirectory ?? join(settings.TOCSIN_STATE_DIR, "journal");
  const { journals, audit } = stack.use(
    await openEmbeddedStore(directory, { bus, clock: systemClock, log }),
  );
  const sessions = await sessionStore(
    settings,
    log,
    sessionPatienceMs.proxy,
    options.journalDirectory ?? settings.TOCSIN_STATE_DIR,
  );
  stack.use(sessions);
  const controlPlane = stack.use(await controlPlaneOn({ bus, journals, audit, sessions }, options));
  // No last good snapshot: the journal of this very process is the truth, a file beside it could only be older.
  const proxy = stack.use(
    await startProxy({
      clock: systemClock,
      random: systemRandom,
      version,
      ...proxyOptions(settings),
      bus,
      sessions,
      log: log.child({ part: "proxy" }),
      accessLines: (lines) => log.lines(lines),
    }),
  );
  // Both planes are here: what is announced answers.
  await proxy.ready;
  const owned = stack.move();
  return { controlPlane, proxy, [Symbol.asyncDispose]: once(() => owned.disposeAsync()) };
}
