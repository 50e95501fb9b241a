export { JournalConflict, journalNames, journals, JournalUnavailable } from "./journal.ts";
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
  OperationId,
  Recorded,
  Sequence,
} from "./journal.ts";
