import { hostname } from "node:os";
import { nodeName, systemRandom, type Settings } from "@tocsin/shared";

/** What this control-plane node is called. */
export function controlPlaneName(settings: Settings): string {
  return settings.TOCSIN_CONTROL_PLANE_ID ?? nodeName(hostname(), systemRandom);
}

/** What of the settings a proxy is started with. */
export function proxyOptions(settings: Settings) {
  return {
    node: settings.TOCSIN_PROXY_ID ?? nodeName(hostname(), systemRandom),
    listen: settings.TOCSIN_LISTEN,
    probeListen: settings.TOCSIN_PROBE_LISTEN,
    drainNoticeMs: settings.TOCSIN_DRAIN_NOTICE,
    drainTimeoutMs: settings.TOCSIN_DRAIN_TIMEOUT,
  };
}
