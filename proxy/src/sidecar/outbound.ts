import { isIPv4 } from "node:net";
import type { Config } from "@tocsin/shared/contract";
import { gateOf, type Engines } from "../pipeline/assemble.ts";
import type { Received } from "../pipeline/exchange.ts";
import type { Gate } from "../pipeline/gate.ts";
import { Pipeline } from "../pipeline/pipeline.ts";
import { authorize } from "../stages/authorize.ts";
import { explain } from "../stages/explain.ts";
import { forward } from "../stages/forward.ts";
import { identify } from "../stages/identify.ts";
import { observe } from "../stages/observe.ts";
import { upgrade } from "../stages/upgrade.ts";
import { callee } from "./callees.ts";

/**
 * The life of a request that the service beside us sends to another one. Not who it speaks for is asked here, only where it goes; the
 * other side asks.
 */
export function assembleOutbound(config: Config, engines: Engines): Gate {
  const { clock, log } = engines;
  const handle = Pipeline.from<Received>()
    .through(observe(engines.metrics, engines.access, clock))
    .through(explain(log, engines.failures))
    .through(callee(config, engines.instances)) // Received   → Routed
    .through(identify(engines.identity, engines.staleness)) // Routed     → Identified, as nobody
    .through(authorize()) // Identified → Permitted
    .through(upgrade(engines.websockets))
    .into(forward(engines.upstreams, clock));
  // Its request ids and traces are believed, and so is what it says about its own client.
  return { ...gateOf(config, handle), trusts: isLoopback };
}

/** RFC 1122 §3.2.1.3, RFC 4291 §2.5.3. */
function isLoopback(address: string): boolean {
  return address === "::1" || (isIPv4(address) && address.startsWith("127."));
}
