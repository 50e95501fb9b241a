/** `tocsin proxy --sidecar`: a proxy of a cluster that stands beside one service. */
import { startProxy, type Proxy } from "@tocsin/proxy";
import { busRegistry, instanceName, placeOf } from "@tocsin/sdk/lease";
import { once, systemClock, systemRandom, type Settings } from "@tocsin/shared";
import { proxyOptions } from "./names.ts";
import { connectedPatienceMs, natsBus } from "./nats-bus.ts";
import type { Prelude } from "./prelude.ts";
import { clusterSessions } from "./session-store.ts";
import { advertisedUrl } from "./sidecar-address.ts";
import { SidecarRegistrar } from "./sidecar-registrar.ts";
import { besideOf } from "./sidecar-word.ts";
import { version } from "./version.ts";

/**
 * Starts without NATS too, as any proxy does.
 *
 * @param words what was given as `--sidecar`
 * @throws NotStarted when they do not name one service, or the settings name no bus
 */
export async function startSidecar(
  options: Prelude,
  words: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly proxy: Proxy } & AsyncDisposable> {
  const { settings, log } = options;
  const { service, url } = besideOf(words);
  const clock = systemClock;
  const random = systemRandom;
  if ((settings.TOCSIN_WORKERS ?? 1) > 1)
    log.warn({}, "a sidecar is one process: TOCSIN_WORKERS has no effect");
  await using stack = new AsyncDisposableStack();
  const { node } = proxyOptions(settings);
  const bus = stack.use(
    await natsBus(settings, "proxy", node, options, signal, connectedPatienceMs),
  );
  const place = placeOfBus(settings);
  const proxy = stack.use(
    await startProxy({
      clock,
      random,
      version,
      ...proxyOptions(settings),
      node,
      bus,
      ...(await clusterSessions(stack, settings, log, "proxy")),
      log,
      accessLines: (lines) => log.lines(lines),
      stateDirectory: settings.TOCSIN_STATE_DIR,
      sidecar: {
        service,
        url,
        outboundListen: settings.TOCSIN_OUTBOUND_LISTEN,
        registrar(listening) {
          const advertised = advertisedUrl(settings, listening);
          const instance = instanceName(advertised);
          log.info({ service, instance, url: advertised, beside: url }, "sidecar");
          return new SidecarRegistrar({
            registry: busRegistry(bus, { service, instance, place }),
            // No health path: the sidecar looks after the instance itself, and its own port stands behind authentication.
            registration: {
              url: advertised,
              metadata: { sidecar: "true", "sidecar-version": version },
            },
            clock,
            random,
            log,
          });
        },
      },
    }),
  );
  const owned = stack.move();
  return { proxy, [Symbol.asyncDispose]: once(() => owned.disposeAsync()) };
}

function placeOfBus({ TOCSIN_NATS_URL }: Settings): string {
  return placeOf(TOCSIN_NATS_URL?.reveal() ?? "");
}
