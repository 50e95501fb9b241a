export {
  Applied,
  ConfigApplied,
  InstanceView,
  Lease,
  LeaseHolder,
  OrderAnswer,
  ProxyView,
  Registration,
  RevocationOrder,
  RevocationView,
  ServiceView,
} from "./api.ts";
export type { RegistrationInput } from "./api.ts";
export {
  Algorithm,
  Auth,
  Config,
  HealthPolicy,
  Issuer,
  Listen,
  methods,
  Route,
  Service,
  StaticInstance,
  Timeouts,
  UrlRule,
} from "./config.ts";
export type { AuthPolicy, Method } from "./config.ts";
export {
  CatalogueEntry,
  catalogueKeys,
  ConfigEntry,
  GoneEntry,
  InstanceEntry,
  RevocationEntry,
  TokenRevocation,
  UserRevocation,
  VerdictEntry,
} from "./entries.ts";
export { staticInstances } from "./instances.ts";
export { isLaterKey, isLaterValue } from "./later.ts";
export {
  Ack,
  Beacon,
  JournalReport,
  LeaseReply,
  protocolVersion,
  ProxyHeartbeat,
  SyncEntry,
  SyncHead,
  SyncRequest,
} from "./messages.ts";
export { addressSet, Duration, isAddressBlock, parseSize, Size, unmapped } from "./units.ts";
export { inconsistencies } from "./references.ts";
