export { createBusSource } from "./bus-source.ts";
export type { BusSourceOptions } from "./bus-source.ts";
export { createJournalSource } from "./journal-source.ts";
export type { JournalSource, JournalSourceOptions } from "./journal-source.ts";
export { startReplica } from "./replica.ts";
export type { Replica, ReplicaOptions } from "./options.ts";
export { answerSync, declineSync, readSyncRequest } from "./sync-server.ts";
export type {
  AppliedOrder,
  ReplicaSource,
  ReplicaState,
  ReplicaStatus,
  ReplicaTable,
  ResyncReason,
  SyncAnswer,
  SyncQuestion,
} from "./source.ts";
export { defaultTimings } from "./timings.ts";
export type { ReplicaTimings } from "./timings.ts";
