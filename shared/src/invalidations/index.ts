export { Invalidations } from "./invalidations.ts";
export type { Version } from "./invalidations.ts";
