export { createBusSource } from "./bus-source.ts";
export type { BusSourceOptions } from "./bus-source.ts";
export { createJournalSource } from "./journal-source.ts";
export type { JournalSource, JournalSourceOptions } from "./journal-source.ts";
export { startReplica } from "./replica.ts";
export type { Replica, ReplicaOptions } from "./options.ts";
export { answerSync, declineSync, readSyncRequest, SnapshotSender } from "./sync-server.ts";
export type { AnswerOptions, SnapshotSenderOptions } from "./sync-server.ts";
export { EntryRefused } from "./source.ts";
export type {
  AppliedOrder,
  EntriesAnswer,
  LoadedChange,
  Poisoned,
  ReplicaSource,
  ReplicaState,
  ReplicaStatus,
  ReplicaTable,
  ResyncReason,
  SyncAnswer,
  SyncQuestion,
  WholeAnswer,
} from "./source.ts";
export { defaultTimings } from "./timings.ts";
export type { ReplicaTimings } from "./timings.ts";
