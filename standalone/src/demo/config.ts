/** The config of the demo: as short as a real one can be, with a public, a protected and an admin route. */
export const demoIssuer = {
  issuer: "tocsin-demo",
  audience: "demo",
  secretVariable: "DEMO_JWT_SECRET",
} as const;

export const demoConfig = `version: 1
environment: development

identity:
  issuers:
    - issuer: ${demoIssuer.issuer}
      audience: ${demoIssuer.audience}
      algorithms: [HS256]
      secret: \${${demoIssuer.secretVariable}}

services:
  users: { health: { path: /health, interval: 1s } }
  content: { health: { path: /health, interval: 1s } }
  payments: { health: { path: /health, interval: 1s } }

routes:
  - id: public
    match: { path: "/api/public/*", methods: [GET] }
    service: content
    auth: none

  - id: users
    match: { path: "/api/users/*" }
    service: users
    auth: required

  - id: payments
    match: { path: "/api/payments/*" }
    service: payments
    auth: { mode: required, roles: { any: [admin] } }
`;
