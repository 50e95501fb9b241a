export { recordedOf } from "./feed.ts";
export {
  auditLog,
  epochKey,
  JournalConflict,
  JournalMisconfigured,
  journalNames,
  journals,
  JournalUnavailable,
  ofEachJournal,
} from "./journal.ts";
export type {
  Appended,
  AppendOptions,
  Entry,
  Epoch,
  Head,
  Journal,
  JournalDefinition,
  JournalKey,
  JournalName,
  Journals,
  Ledger,
  NamedJournal,
  NamedStream,
  OperationId,
  Recorded,
  Sequence,
} from "./journal.ts";
