/**
 * The control plane itself, in this process: on the embedded bus and journals, or on a NATS server.
 */
import { Secret, silentLog, systemClock, systemRandom } from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import type { Journals, Ledger } from "@tocsin/shared/journal";
import { connectNats, openNatsJournals } from "@tocsin/shared/nats";
import { startControlPlane } from "@tocsin/control-plane";
import { adminToken } from "./admin-api.ts";

export interface RealControlPlane extends AsyncDisposable {
  readonly url: string;
  readonly bus: Bus;
  /** Variables that lead a command, or a service over HTTP, here. */
  readonly environment: Readonly<Record<string, string>>;
}

export const config = `version: 1 # as written
identity:
  issuers:
    - { issuer: me, audience: us, algorithms: [HS256], secret: "a secret that is long enough for HS256" }
services:
  users: { health: { path: /health, interval: 100ms } }
`;

export async function startRealControlPlane(
  options: { natsUrl?: string } = {},
): Promise<RealControlPlane> {
  await using stack = new AsyncDisposableStack();
  const { bus, journals, audit } = await store(stack, options.natsUrl);
  const controlPlane = stack.use(
    await startControlPlane({
      node: "control-plane-1",
      version: "1.2.3",
      bus,
      journals,
      audit,
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      admin: { host: "127.0.0.1", port: 0, token: new Secret(adminToken) },
      environment: {},
      config: { source: config, name: "test" },
    }),
  );
  const owned = stack.move();
  const url = controlPlane.adminUrl;
  return {
    url,
    bus,
    environment: { TOCSIN_ADMIN_URL: url, TOCSIN_ADMIN_TOKEN: adminToken },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function store(
  stack: AsyncDisposableStack,
  natsUrl: string | undefined,
): Promise<{ bus: Bus; journals: Journals; audit: Ledger }> {
  if (natsUrl === undefined) {
    const bus = stack.use(createEmbeddedBus());
    const opened = await openEmbeddedStore(":memory:", { bus, clock: systemClock });
    const { journals, audit } = stack.use(opened);
    return { bus, journals, audit };
  }
  const bus = stack.use(
    await connectNats({
      servers: [natsUrl],
      node: "control-plane-1",
      role: "control-plane",
      clock: systemClock,
      log: silentLog,
    }),
  );
  const opened = await openNatsJournals({ bus, clock: systemClock, log: silentLog });
  const { journals, audit } = stack.use(opened);
  return { bus, journals, audit };
}
