/** What is promised, as ratios of CPU per request within one run of the benchmark: a slow machine is slow for all. */
import type { Measured } from "./runner.ts";

interface Bound {
  readonly times: number;
  /** The peer it is a multiple of. */
  readonly of: string;
}

export interface Target {
  readonly must: Bound;
  readonly aim: Bound;
}

const open: Target = {
  must: { times: 0.55, of: "fastify-http-proxy" },
  aim: { times: 2.5, of: "nginx" },
};
const policies: Target = {
  must: { times: 0.75, of: "fastify-http-proxy" },
  aim: { times: 4, of: "nginx" },
};

const targets: Readonly<Record<string, Target>> = {
  "tocsin-open": open,
  "tocsin-policies": policies,
  "tocsin-proxy-open": open,
  "tocsin-proxy-policies": policies,
};

export interface Judged extends Bound {
  readonly ratio: number;
  readonly met: boolean;
}

/** How a program stands to its bounds; a bound whose peer was not measured is left out. */
export function judge(
  name: string,
  measured: readonly Measured[],
): { readonly must?: Judged; readonly aim?: Judged } {
  const target = targets[name];
  if (target === undefined) return {};
  const against = (bound: Bound): Judged | undefined => {
    const ratio = ratioTo(name, bound.of, measured);
    return ratio === undefined ? undefined : { ...bound, ratio, met: ratio <= bound.times };
  };
  const must = against(target.must);
  const aim = against(target.aim);
  return { ...(must === undefined ? {} : { must }), ...(aim === undefined ? {} : { aim }) };
}

/** Median by median; undefined when either was not measured. */
export function ratioTo(
  name: string,
  peer: string,
  measured: readonly Measured[],
): number | undefined {
  const median = (wanted: string) =>
    measured.find((one) => one.name === wanted)?.cpuMicrosPerRequest.median;
  const [own, other] = [median(name), median(peer)];
  return own === undefined || other === undefined ? undefined : own / other;
}
