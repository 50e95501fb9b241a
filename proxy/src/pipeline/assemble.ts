import { Refusal } from "@tocsin/shared";
import type { Clock, Log, Random } from "@tocsin/shared";
import { addressSet } from "@tocsin/shared/contract";
import type { Config } from "@tocsin/shared/contract";
import type { Identity } from "../identity/identity.ts";
import { createRouter } from "../routing/router.ts";
import type { Router } from "../routing/router.ts";
import { authorize } from "../stages/authorize.ts";
import { explain } from "../stages/explain.ts";
import { forward } from "../stages/forward.ts";
import { identify } from "../stages/identify.ts";
import type { Staleness } from "../stages/identify.ts";
import { match } from "../stages/match.ts";
import { observe } from "../stages/observe.ts";
import { upgrade } from "../stages/upgrade.ts";
import type { AccessLog } from "../telemetry/access-log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { SignInFailures } from "../telemetry/sign-in-failures.ts";
import type { Instances } from "../upstream/instances.ts";
import type { Upstreams } from "../upstream/upstreams.ts";
import type { Census } from "../websocket/census.ts";
import type { Received } from "./exchange.ts";
import type { Gate } from "./gate.ts";
import { Pipeline } from "./pipeline.ts";
import type { Next } from "./pipeline.ts";

/** What the stages know and can do. Lives longer than any one config. */
export interface Engines {
  readonly instances: () => Instances;
  readonly identity: Identity;
  readonly staleness: Staleness;
  readonly upstreams: Upstreams;
  /** The WebSockets that are open, by whom they are counted for. */
  readonly websockets: Census;
  /** Whether clients with this address are shut out. Absent: none are. */
  readonly isBlocked?: Gate["isBlocked"];
  readonly metrics: Metrics;
  readonly access: AccessLog;
  /** Takes whoever is not let in. */
  readonly failures: Pick<SignInFailures, "note">;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  /** Where not all routes are served, or not as the config says: what stands in front of the router. Default: nothing. */
  readonly narrowed?: (router: Router) => Router;
}

/** The life of a request, in the order in which it happens. Put together once per config; exchanges in flight keep theirs. */
export function assemble(config: Config, engines: Engines): Gate {
  const { clock, log } = engines;
  const whole = createRouter(config, engines.instances, {
    random: engines.random,
    isUsable: (service) =>
      engines
        .instances()
        .of(service)
        ?.some(({ eligible }) => eligible) === true,
  });
  const router = engines.narrowed?.(whole) ?? whole;
  const handle = Pipeline.from<Received>()
    .through(observe(engines.metrics, engines.access, clock)) // sees every way out: metrics, one access line
    .through(explain(log, engines.failures)) // the only place where a refusal becomes a reply
    .through(match(router, config.listen.limits.matchBody)) // Received   → Routed
    .through(identify(engines.identity, engines.staleness)) // Routed     → Identified
    .through(authorize()) // Identified → Permitted
    .through(upgrade(engines.websockets))
    .into(forward(engines.upstreams, clock));
  return gateOf(config, handle, engines.isBlocked);
}

/** What the listener needs of a config, with what handles its requests. */
export function gateOf(
  config: Config,
  handle: Next<Received>,
  isBlocked: Gate["isBlocked"] = () => false,
): Gate {
  const { headers, uri, body, headersTimeout, bodyTimeout, writeTimeout, connectionsPerAddress } =
    config.listen.limits;
  return {
    handle,
    limits: {
      headers,
      uri,
      body,
      headersTimeoutMs: headersTimeout,
      bodyTimeoutMs: bodyTimeout,
      writeTimeoutMs: writeTimeout,
      connectionsPerAddress: connectionsPerAddress ?? Infinity,
    },
    isBlocked,
    trusts: trust(config.listen.trustedProxies),
  };
}

/** The gate before the first config: everything is answered with 503, nothing is let through. */
export function closedGate(engines: Pick<Engines, "metrics" | "access" | "log" | "clock">): Gate {
  const handle = Pipeline.from<Received>()
    .through(observe(engines.metrics, engines.access, engines.clock))
    .through(explain(engines.log))
    .into(() => {
      throw new Refusal("service-unavailable");
    });
  return {
    handle,
    limits: {
      headers: 16 * 1024,
      uri: 8 * 1024,
      headersTimeoutMs: 10_000,
      bodyTimeoutMs: 60_000,
      writeTimeoutMs: 60_000,
      connectionsPerAddress: Infinity,
    },
    isBlocked: () => false,
    trusts: () => false,
  };
}

function trust(blocks: readonly string[]): (address: string) => boolean {
  return blocks.length === 0 ? () => false : addressSet(blocks);
}
