/** The adapters for one process on one machine. */
export { createEmbeddedBus } from "./bus/embedded.ts";
export type { EmbeddedBusOptions } from "./bus/embedded.ts";
export { openEmbeddedStore } from "./journal/embedded.ts";
export type { EmbeddedStore, EmbeddedStoreOptions } from "./journal/embedded.ts";
export { StateDirectoryError } from "./journal/embedded-database.ts";
