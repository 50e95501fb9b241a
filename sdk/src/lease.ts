/** For programs that register somebody else, over a bus connection that they have anyway. No part of the published package. */
export { busRegistry } from "./bus-registry.ts";
export { instanceName } from "./description.ts";
export { RegistrationRefused } from "./errors.ts";
export { LeaseKeeper } from "./lease-keeper.ts";
export { placeOf } from "./nats-registry.ts";
