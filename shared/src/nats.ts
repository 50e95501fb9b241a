/**
 * The adapters for clusters. A door of its own, because the NATS client takes longer to load than a command line may take to answer.
 */
export { connectNats } from "./bus/nats.ts";
export type { NatsAddress, NatsBus, NatsOptions, NatsRole } from "./bus/nats.ts";
export { openNatsJournal, openNatsJournals } from "./journal/nats.ts";
export type { NatsJournalOptions } from "./journal/nats.ts";
