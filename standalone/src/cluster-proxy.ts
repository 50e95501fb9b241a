import { startProxy, type Proxy } from "@tocsin/proxy";
import { once, systemClock, systemRandom } from "@tocsin/shared";
import { proxyOptions } from "./names.ts";
import { connectedPatienceMs, natsBus } from "./nats-bus.ts";
import type { Prelude } from "./prelude.ts";
import { clusterSessions } from "./session-store.ts";
import { version } from "./version.ts";

/** A proxy of a cluster. Starts without NATS too: with its last good snapshot, or not ready until it hears one. */
export async function startClusterProxy(
  options: Prelude,
  signal: AbortSignal,
): Promise<{ readonly proxy: Proxy } & AsyncDisposable> {
  const { settings, log } = options;
  await using stack = new AsyncDisposableStack();
  const node = proxyOptions(settings).node;
  const bus = stack.use(
    await natsBus(settings, "proxy", node, options, signal, connectedPatienceMs),
  );
  const proxy = stack.use(
    await startProxy({
      clock: systemClock,
      random: systemRandom,
      version,
      ...proxyOptions(settings),
      node,
      bus,
      ...(await clusterSessions(stack, settings, log, "proxy")),
      log,
      accessLines: (lines) => log.lines(lines),
      stateDirectory: settings.TOCSIN_STATE_DIR,
    }),
  );
  const owned = stack.move();
  return { proxy, [Symbol.asyncDispose]: once(() => owned.disposeAsync()) };
}
