/**
 * The adapters for clusters. A door of its own, because the NATS client takes longer to load than a command line may take to answer.
 */
export { connectNats } from "./bus/nats.ts";
export type { NatsAddress, NatsBus, NatsOptions, NatsRole } from "./bus/nats.ts";
