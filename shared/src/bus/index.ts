export { BusUnavailable } from "./bus.ts";
export type { Bus, BusState, Headers, Message, RequestOptions } from "./bus.ts";
export { controlPlaneQueue, isOperationId, subjects } from "./subjects.ts";
export type { LeaseVerb } from "./subjects.ts";
export { natsProblems } from "./nats-files.ts";
export type { NatsPlace } from "./nats-files.ts";
