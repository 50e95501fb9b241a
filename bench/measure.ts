/** One run: load for some seconds, and what it cost. */
import { truncateSync } from "node:fs";
import { coreBusyMicros, usageOf } from "./accounting.ts";
import type { Started } from "./contender.ts";
import { apply } from "./load.ts";
import type { Placement } from "./placement.ts";
import { path, verifyLog } from "./verify.ts";

export interface Run {
  readonly requests: number;
  readonly seconds: number;
  /** User and system time of the program and its children during the run. */
  readonly cpuMicros: number;
  readonly cpuMicrosPerRequest: number;
  readonly requestsPerSecond: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  readonly residentBytes: number;
  /** Share of its core that the program used. Well below 1, the load was the limit. */
  readonly busy: number;
  /** Share of its core that others took, the hypervisor among them; undefined where it is not told. */
  readonly disturbed: number | undefined;
}

export interface Shape {
  readonly connections: number;
  readonly seconds: number;
}

export async function measure(
  name: string,
  started: Started,
  placement: Placement,
  shape: Shape,
): Promise<Run> {
  if (started.accessLog !== undefined) truncateSync(started.accessLog);
  const countedBefore = await started.counted?.();
  const before = usageOf(started.pid);
  const coreBefore = coreBusyMicros(placement.program);
  const counted = await apply({
    url: started.url + path,
    connections: shape.connections,
    seconds: shape.seconds,
    core: placement.load,
    tokenFile: started.tokenFile,
  });
  const coreAfter = coreBusyMicros(placement.program);
  const after = usageOf(started.pid);
  if (started.accessLog !== undefined) await verifyLog(name, started.accessLog, counted.requests);
  if (started.counted !== undefined) {
    const rise = (await started.counted()) - (countedBefore ?? 0);
    if (rise < counted.requests)
      throw new Error(`${name} answered ${counted.requests} requests and counted ${rise}`);
  }
  const cpuMicros = after.cpuMicros - before.cpuMicros;
  return {
    requests: counted.requests,
    seconds: counted.micros / 1e6,
    cpuMicros,
    cpuMicrosPerRequest: cpuMicros / counted.requests,
    requestsPerSecond: (counted.requests / counted.micros) * 1e6,
    p50Micros: counted.p50Micros,
    p99Micros: counted.p99Micros,
    residentBytes: after.residentBytes,
    busy: cpuMicros / counted.micros,
    disturbed:
      coreAfter === undefined || coreBefore === undefined
        ? undefined
        : Math.max(0, (coreAfter - coreBefore - cpuMicros) / counted.micros),
  };
}
