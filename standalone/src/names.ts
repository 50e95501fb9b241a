import { hostname } from "node:os";
import { nodeName, systemRandom, type Settings } from "@tocsin/shared";

/** What this control-plane node is called. */
export function controlPlaneName(settings: Settings): string {
  return settings.TOCSIN_CONTROL_PLANE_ID ?? nodeName(hostname(), systemRandom);
}

/** Part of the drain timeout that requests do not get, in milliseconds: a fifth of it, at most a second. */
function farewellMs(settings: Settings): number {
  return Math.min(1_000, settings.TOCSIN_DRAIN_TIMEOUT / 5);
}

/** When a process is over that was told to stop, whatever has not ended by then, in milliseconds. */
export function overMs(settings: Settings): number {
  return settings.TOCSIN_DRAIN_TIMEOUT - farewellMs(settings) / 2;
}

/** When a worker that is to end is killed, in milliseconds: after its requests were, and before its node ends. */
export function workerDrainMs(settings: Settings): number {
  return settings.TOCSIN_DRAIN_TIMEOUT - (farewellMs(settings) * 3) / 4;
}

/** What of the settings a proxy is started with. */
export function proxyOptions(settings: Settings) {
  return {
    node: settings.TOCSIN_PROXY_ID ?? nodeName(hostname(), systemRandom),
    listen: settings.TOCSIN_LISTEN,
    probeListen: settings.TOCSIN_PROBE_LISTEN,
    drainNoticeMs: settings.TOCSIN_DRAIN_NOTICE,
    // What is left of it is for saying good-bye to the bus, and for the disk.
    drainTimeoutMs: settings.TOCSIN_DRAIN_TIMEOUT - farewellMs(settings),
  };
}
