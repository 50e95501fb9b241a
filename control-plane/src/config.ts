/** The door for those who only read configs: loads no server. */
export { readConfig } from "./catalogue/read-config.ts";
export type { ReadConfig } from "./catalogue/read-config.ts";
export type { ConfigProblem } from "./catalogue/document.ts";
