/** The adapters for one process on one machine. */
export { createEmbeddedBus } from "./bus/embedded.ts";
export type { EmbeddedBusOptions } from "./bus/embedded.ts";
