export { RegistrationRefused, RegistrationUnavailable } from "./errors.ts";
export type { RefusedPlace } from "./errors.ts";
export type {
  DrainOptions,
  HealthCheck,
  ListeningServer,
  RegisterOptions,
  Registration,
  RegistrationLog,
  RegistrationState,
  ServerHolder,
  StateChange,
} from "./options.ts";
export { register } from "./register.ts";
export { connectSessions } from "./sessions.ts";
export { SessionsRefused, SessionsUnavailable } from "./session-types.ts";
export type {
  EndedSessions,
  EndOptions,
  ListedSession,
  MadeSession,
  NewSession,
  Sessions,
  SessionsOptions,
} from "./session-types.ts";
