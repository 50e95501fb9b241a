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
