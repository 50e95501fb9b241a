import type { Clock } from "@tocsin/shared";
import type { Exchange, Received } from "../pipeline/exchange.ts";
import type { Stage } from "../pipeline/pipeline.ts";
import type { AccessLog, ExchangeRecord } from "../telemetry/access-log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { clientClosedRequest } from "./explain.ts";

/** Sees every way out: metrics, and one access line when the last byte is handed over or never will be. */
export function observe(metrics: Metrics, access: AccessLog, clock: Clock): Stage<Received> {
  return (exchange, next) => {
    exchange.over = over;
    return next(exchange);
  };

  function over(exchange: Exchange): void {
    const now = clock.monotonic();
    const { route, forwardedAt, answeredAt, repliedAt } = exchange;
    const durationMs = now - exchange.receivedAt;
    const upstreamMs =
      forwardedAt === 0 ? undefined : (answeredAt === 0 ? now : answeredAt) - forwardedAt;
    const overheadMs =
      repliedAt === 0 ? undefined : repliedAt - exchange.receivedAt - (upstreamMs ?? 0);
    const record: ExchangeRecord = {
      requestId: exchange.id,
      traceId: exchange.traceparent.slice(3, 35),
      clientAddress: exchange.clientAddress,
      method: exchange.method,
      host: exchange.head.host,
      path: exchange.path,
      route: route === undefined ? "" : route.id,
      service: exchange.service !== "" || route === undefined ? exchange.service : route.service,
      instance: exchange.instance,
      // Whom nothing reached got no status.
      status: exchange.status === 0 ? clientClosedRequest : exchange.status,
      bytesIn: exchange.bytesIn,
      bytesOut: exchange.bytesOut,
      durationMs,
      overheadMs,
      upstreamMs,
      code: exchange.code,
      aborted: exchange.aborted === undefined ? undefined : exchange.aborted.reason,
    };
    metrics.record(record);
    access.note(record);
  }
}
