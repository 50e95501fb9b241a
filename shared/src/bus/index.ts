export { BusUnavailable } from "./bus.ts";
export type { Bus, BusState, Headers, Message, RequestOptions } from "./bus.ts";
export {
  ackOf,
  controlPlaneQueue,
  isOperationId,
  leaseOf,
  sessionRequestOf,
  subjects,
} from "./subjects.ts";
export type { LeaseVerb, SessionVerb } from "./subjects.ts";
export { natsProblems } from "./nats-files.ts";
export type { NatsPlace } from "./nats-files.ts";
