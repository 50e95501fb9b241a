/**
 * A proxy as far as the control plane sees one: it hears the journals, acknowledges orders and sends heartbeats, and serves nobody.
 */
import { randomUUID } from "node:crypto";
import { silentLog, systemClock, systemRandom } from "@tocsin/shared";
import { subjects, type Bus } from "@tocsin/shared/bus";
import { protocolVersion, type Ack, type ProxyHeartbeat } from "@tocsin/shared/contract";
import type { Recorded } from "@tocsin/shared/journal";
import { createBusSource, startReplica } from "@tocsin/shared/replica";

const journals = ["catalogue", "health", "revocations", "invalidations"] as const;

/** @param options.mute hears, and acknowledges nothing */
export async function startFollower(
  bus: Bus,
  name: string,
  options: { mute?: boolean } = {},
): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const replicas = journals.map((journal) =>
    stack.use(
      startReplica<Recorded>({
        clock: systemClock,
        random: systemRandom,
        log: silentLog,
        journal,
        source: createBusSource({ bus, journal, node: name }),
        table: { decode: (entry) => entry, apply() {}, load() {}, loadDump() {} },
        onApplied({ operation, sequence, epoch }) {
          const ack: Ack = { v: protocolVersion, journal, epoch, applied: sequence, refused: [] };
          if (options.mute !== true)
            bus.publish(subjects.ack(operation, name), JSON.stringify(ack));
        },
      }),
    ),
  );
  await Promise.all(replicas.map(({ synced }) => synced));
  const boot = randomUUID();
  const beat = () => {
    const reports = replicas.map((replica) => {
      const { epoch, applied, head, state } = replica.status();
      const stood = options.mute === true ? 0 : applied;
      return { ...(epoch === undefined ? {} : { epoch }), applied: stood, head, state };
    });
    const [catalogue, health, revocations, invalidations] = reports;
    const heartbeat: ProxyHeartbeat = {
      v: protocolVersion,
      proxy: name,
      boot,
      version: "1.2.3",
      journals: {
        catalogue: catalogue!,
        health: health!,
        revocations: revocations!,
        invalidations: invalidations!,
      },
    };
    bus.publish(subjects.heartbeat("proxy", name), JSON.stringify(heartbeat));
  };
  beat();
  stack.defer(systemClock.every(500, beat));
  const owned = stack.move();
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
