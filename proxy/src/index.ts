export { rehearse } from "./listener/rehearse.ts";
export type { Rehearsal, RehearsedRequest } from "./listener/rehearse.ts";
export { listRoutes } from "./routing/listing.ts";
export type { ListedRoute } from "./routing/listing.ts";
export type { Verdict } from "./routing/explain.ts";
export { startProxy } from "./proxy.ts";
export type { Proxy, ProxyOptions } from "./proxy.ts";
