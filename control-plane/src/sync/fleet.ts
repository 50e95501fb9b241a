import type { Clock, Log, Milliseconds } from "@tocsin/shared";
import { BusUnavailable, subjects, type Bus } from "@tocsin/shared/bus";
import { collectHoldings } from "@tocsin/shared/revocations";
import type { HeardProxy, Proxies } from "./proxies.ts";
import type { Fleet, Standing } from "./recall.ts";

/** A proxy that is asked answers within this time, in milliseconds; when nobody else has for so long, everybody has. */
const quietMs: Milliseconds = 150;
/** How long the first answer may take, in milliseconds, where somebody listens. */
const firstMs: Milliseconds = 2_000;
/** The longest silence of proxies that tell what they hold, in milliseconds. */
const holdingMs: Milliseconds = 3_000;

export interface FleetOptions {
  readonly bus: Bus;
  readonly proxies: Proxies;
  readonly clock: Clock;
  readonly log: Log;
}

/** The proxies of the fleet, asked over the bus. */
export function fleetOf({ bus, proxies, clock, log }: FleetOptions): Fleet {
  return {
    async standings() {
      const heard = await hearAll({ bus, proxies, clock });
      const of = (journal: "catalogue" | "revocations" | "invalidations"): Standing[] =>
        heard.flatMap((proxy) => standingOf(proxy, journal) ?? []);
      return {
        catalogue: of("catalogue"),
        revocations: of("revocations"),
        invalidations: of("invalidations"),
      };
    },
    collect: (journals, asked) =>
      collectHoldings(bus, { journals, proxies: asked, waitMs: holdingMs, clock, log }),
  };
}

/** Where a proxy stands; undefined when it holds nothing yet. */
export function standingOf(
  { heartbeat }: HeardProxy,
  journal: "catalogue" | "revocations" | "invalidations",
): Standing | undefined {
  const { epoch, applied } = heartbeat.journals[journal];
  return epoch === undefined ? undefined : { proxy: heartbeat.proxy, epoch, applied };
}

/** Asks every proxy for a heartbeat, and waits until nobody sends one any more. */
async function hearAll({
  bus,
  proxies,
  clock,
}: Omit<FleetOptions, "log">): Promise<readonly HeardProxy[]> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let cancel = clock.after(firstMs, resolve);
  await using _ = proxies.onHeartbeat(() => {
    cancel();
    cancel = clock.after(quietMs, resolve);
  });
  // Nobody ever answers it directly; that nobody listens is known at once.
  bus
    .request(subjects.everyProxy("heartbeat"), "", { timeoutMs: firstMs })
    .catch((error: unknown) => {
      if (error instanceof BusUnavailable && error.kind === "no-responders") resolve();
    });
  await promise;
  cancel();
  return proxies.live();
}
