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
