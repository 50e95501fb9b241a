export { BusUnavailable } from "./bus.ts";
export type { Bus, BusState, Headers, Message, RequestOptions } from "./bus.ts";
export { controlPlaneQueue, isOperationId, subjects } from "./subjects.ts";
export type { LeaseVerb } from "./subjects.ts";
