/**
 * Orders of stages that must not compile. Checked by `tsc`: an expected error that does not happen is an error.
 */
import type { Identified, Permitted, Received, Routed } from "../../proxy/src/pipeline/exchange.ts";
import { Pipeline } from "../../proxy/src/pipeline/pipeline.ts";
import type { Next, Stage } from "../../proxy/src/pipeline/pipeline.ts";

declare const explain: Stage<Received>;
declare const match: Stage<Received, Routed>;
declare const identify: Stage<Routed, Identified>;
declare const authorize: Stage<Identified, Permitted>;
declare const forward: Next<Permitted>;
declare const received: Received;
declare const routed: Routed;
declare const identified: Identified;

/** The right order. */
export const right: Next<Received> = Pipeline.from<Received>()
  .through(explain)
  .through(match)
  .through(identify)
  .through(authorize)
  .into(forward);

// @ts-expect-error a stage for all exchanges in the middle would forget what was established before it
Pipeline.from<Received>().through(match).through(explain);

// @ts-expect-error whom a request speaks for is not asked before it is known which route it takes
Pipeline.from<Received>().through(identify);

// @ts-expect-error nobody is authorized before it is known who it is
Pipeline.from<Received>().through(match).through(authorize);

// @ts-expect-error nothing is forwarded that was not permitted
Pipeline.from<Received>().through(match).through(identify).into(forward);

// @ts-expect-error nothing is forwarded straight away
Pipeline.from<Received>().into(forward);

// @ts-expect-error what is received has no route yet
export const early: string = received.route.id;

// @ts-expect-error what is routed has no principal yet
export const nobody: string = routed.principal.method;

// @ts-expect-error an exchange is not permitted by looking like it
export const forged: Permitted = identified;

// @ts-expect-error a stage cannot take back what was established
export const forgetful: Stage<Routed, Received> = (exchange, next) => next(exchange);
