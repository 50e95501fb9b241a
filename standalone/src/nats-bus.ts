import { natsPlace, systemClock, type Settings } from "@tocsin/shared";
import type { NatsBus } from "@tocsin/shared/nats";
import { NotStarted, type Prelude } from "./prelude.ts";

/** How long a proxy waits for NATS before it starts with what it has on disk, in milliseconds. */
export const connectedPatienceMs = 2_000;

/**
 * Connects to the cluster's bus.
 *
 * @throws NotStarted when the settings name none
 */
export async function natsBus(
  settings: Settings,
  role: "proxy" | "control-plane",
  node: string,
  { log }: Prelude,
  signal: AbortSignal,
  firstConnectTimeoutMs?: number,
): Promise<NatsBus> {
  if (settings.TOCSIN_NATS_URL === undefined) {
    throw new NotStarted(
      64,
      `TOCSIN_NATS_URL: a ${role} of a cluster needs it. For one machine without NATS: tocsin standalone`,
    );
  }
  const { connectNats } = await import("@tocsin/shared/nats");
  return connectNats({
    ...natsPlace(settings),
    node,
    role,
    clock: systemClock,
    log,
    signal,
    ...(firstConnectTimeoutMs === undefined ? {} : { firstConnectTimeoutMs }),
  });
}
