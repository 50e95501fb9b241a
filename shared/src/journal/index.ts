export { recordedOf } from "./feed.ts";
export {
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
  NamedJournal,
  OperationId,
  Recorded,
  Sequence,
} from "./journal.ts";
