import { messageOf, type Clock, type Log, type Milliseconds, type NodeName } from "@tocsin/shared";
import { subjects, type Bus } from "@tocsin/shared/bus";
import { protocolVersion, type Beacon } from "@tocsin/shared/contract";
import { journalNames, type Head, type JournalName, type Journals } from "@tocsin/shared/journal";
import type { Proxies } from "./proxies.ts";
import type { State } from "./state.ts";

const everyMs: Milliseconds = 1_000;
/** A node that does not lead sends one when none was heard for so long, in milliseconds: before anybody suspects anything. */
const silenceMs: Milliseconds = 1_800;

export interface BeaconOptions {
  readonly node: NodeName;
  readonly bus: Bus;
  readonly journals: Journals;
  readonly state: State;
  readonly proxies: Proxies;
  readonly leader: { readonly leading: boolean };
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Tells everybody where the journals stand: the leader every second, any node right after it wrote, and when nobody else does. The
 * heads come from the store, not from memory.
 */
export async function startBeacon(options: BeaconOptions): Promise<AsyncDisposable> {
  const { bus, journals, state, proxies, leader, clock, log } = options;
  let heardAt = clock.monotonic();
  const stack = new AsyncDisposableStack();
  let asking = false;
  let again = false;
  let closed = false;

  async function beat(): Promise<void> {
    if (closed) return;
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    try {
      const heads = Object.fromEntries(
        await Promise.all(
          journalNames.map(async (name): Promise<[JournalName, Head]> => [
            name,
            await journals[name].head(),
          ]),
        ),
      ) as Record<JournalName, Head>;
      for (const name of journalNames) state.heard(name, heads[name]);
      const beacon: Beacon = {
        v: protocolVersion,
        controlPlane: options.node,
        journals: heads,
        proxies: proxies.live().length,
        term: state.term,
      };
      bus.publish(subjects.beacon, JSON.stringify(beacon));
    } catch (error) {
      // Silence is what the replicas must hear when the store cannot say where it stands.
      log.warn({ cause: messageOf(error) }, "no beacon");
    } finally {
      asking = false;
    }
    if (again) {
      again = false;
      void beat();
    }
  }

  stack.defer(() => {
    closed = true;
  });
  stack.use(
    await bus.subscribe(subjects.beacon, () => {
      heardAt = clock.monotonic();
    }),
  );
  stack.defer(
    clock.every(everyMs, () => {
      if (leader.leading || clock.monotonic() - heardAt >= silenceMs - everyMs) void beat();
    }),
  );
  state.onWrite(() => void beat());
  void beat();
  return stack;
}
