export { Judgement } from "./judgement.ts";
export type { Thresholds, Verdict } from "./judgement.ts";
export { probe } from "./probe.ts";
export type { ProbeResult, ProbeTarget } from "./probe.ts";
