export {
  Applied,
  BulkRevocationOrder,
  ConfigApplied,
  ControlPlaneView,
  InstanceView,
  Lease,
  LeaseHolder,
  maxRevocations,
  MissingProxy,
  OrderAnswer,
  ProxyView,
  Registration,
  RevocationItem,
  RevocationOrder,
  RevocationPage,
  RevocationsChecked,
  RevocationView,
  ServiceView,
} from "./api.ts";
export type { RegistrationInput } from "./api.ts";
export {
  ApiKeyChecked,
  ApiKeyMade,
  ApiKeyPage,
  ApiKeyRevoked,
  ApiKeyView,
  NewApiKey,
  RotateApiKey,
} from "./api-key-api.ts";
export { auditOutcomes, AuditPage, AuditRecord, AuditTarget, AuditView } from "./audit.ts";
export { ApiKeyPolicy } from "./api-keys.ts";
export { UserAbsence, UserAnswer, UserPolicy } from "./users.ts";
export { InvalidationEntry, InvalidationOrder, laterSelectors } from "./invalidations.ts";
export { claimNames } from "./claim-path.ts";
export { Algorithm, Config, Issuer, Listen, UrlRule } from "./config.ts";
export { Auth, Fallback, Route, WebSocketPolicy } from "./route.ts";
export type { AuthPolicy } from "./route.ts";
export type { ServicePolicy } from "./service.ts";
export {
  BalancePolicy,
  CircuitPolicy,
  HealthPolicy,
  InstanceUrl,
  RetryPolicy,
  Service,
  StaticInstance,
  Timeouts,
} from "./service.ts";
export { bodyless, methods, RouteMatch } from "./route-match.ts";
export type { Method } from "./route-match.ts";
export {
  ApiKeyEntry,
  ApiKeyId,
  ApiKeySecret,
  BatchRevocation,
  CatalogueEntry,
  catalogueKeys,
  ConfigEntry,
  FingerprintKey,
  FingerprintsEntry,
  GoneEntry,
  InstanceEntry,
  LeaderEntry,
  Revocation,
  RevocationEntry,
  LiftingEntry,
  RevocationTarget,
  SessionRevocation,
  TokenRevocation,
  UserRevocation,
  VerdictEntry,
} from "./entries.ts";
export { assertCatalogueKey, assertHealthKey } from "./placement.ts";
export { staticInstances } from "./instances.ts";
export { isLaterKey, isLaterValue } from "./later.ts";
export {
  Ack,
  Beacon,
  CollectRequest,
  ControlPlaneHeartbeat,
  HeldHead,
  JournalReport,
  LeaseReply,
  protocolVersion,
  ProxyHeartbeat,
  ProxyReport,
  SyncEntry,
  SyncHead,
  SyncRequest,
} from "./messages.ts";
export { addressGroup } from "./address-group.ts";
export { addressSet, Duration, isAddressBlock, parseSize, Size, unmapped } from "./units.ts";
export { inconsistencies } from "./references.ts";
export {
  NewSession,
  SessionEnd,
  SessionList,
  SessionMade,
  SessionQuestion,
  SessionsEnded,
  SessionView,
} from "./session-api.ts";
export type { NewSessionInput } from "./session-api.ts";
export { isSecureCookie, SessionPolicy } from "./sessions.ts";
