/** The config that is measured: one route that is asked for, among others so that routing has to choose. */
import { audience, issuer, secret } from "./tokens.ts";

const otherRoutes = 49;

/** JSON is YAML. @param policies whether the route wants a token with a role */
export function configOf(upstream: string, policies: boolean): string {
  const route = {
    id: "catalogue-item",
    match: { path: "/api/catalogue/items/{id}", methods: ["GET", "PUT", "DELETE"] },
    service: "catalogue",
    auth: policies ? { mode: "required", roles: { any: ["reader", "admin"] } } : "none",
  };
  const others = Array.from({ length: otherRoutes }, (_, index) => ({
    id: `other-${index}`,
    match: { path: `/api/service-${index}/{collection}/{id}` },
    service: "catalogue",
    auth: "none",
  }));
  return JSON.stringify({
    version: 1,
    identity: { issuers: [{ issuer, audience, algorithms: ["HS256"], secret }] },
    services: { catalogue: { instances: [{ url: upstream }] } },
    routes: [...others, route],
  });
}
