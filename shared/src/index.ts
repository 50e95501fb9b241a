export { challenge } from "./challenge.ts";
export type { BearerError, Challenge } from "./challenge.ts";
export { ambiguousCredential, Denial, denials } from "./denial.ts";
export type { DenialCause, DenialOptions } from "./denial.ts";
export { Aborted, disposable, messageOf, once } from "./lifetime.ts";
export { createLog, logLevels, Secret, silentLog } from "./log.ts";
export type { FlushableLog, Log, LogLevel } from "./log.ts";
export { assertName, isName, Name, namePattern, toName } from "./names.ts";
export type { InstanceName, NodeName, RouteName, ServiceName } from "./names.ts";
export { problemMediaType, problemOf, problemType } from "./problem.ts";
export type { Problem } from "./problem.ts";
export { Refusal, refusals } from "./refusal.ts";
export type { Fault, RefusalCode, RefusalOptions, RefusalRow } from "./refusal.ts";
export { credentialIn, shown, shownMessage, withoutCredentials } from "./shown.ts";
export type { CredentialKind } from "./shown.ts";
export { formatDuration, parseDuration, sleep, systemClock, systemRandom } from "./time.ts";
export type { Cancel, Clock, Milliseconds, Random, WallTime } from "./time.ts";
export {
  exitCode as settingsExitCode,
  formatAddress,
  maxWorkers,
  natsPlace,
  nodeName,
  parseAddress,
  readSettings,
  SettingsError,
  settingsTable,
  settingsWithoutEffect,
} from "./settings.ts";
export type { Address, SettingProblem, Settings } from "./settings.ts";
