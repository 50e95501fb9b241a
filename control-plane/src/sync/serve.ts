import { messageOf, type Log } from "@tocsin/shared";
import { controlPlaneQueue, subjects, type Bus } from "@tocsin/shared/bus";
import { journalNames, type JournalName, type Sequence } from "@tocsin/shared/journal";
import { answerSync, declineSync, readSyncRequest, SnapshotSender } from "@tocsin/shared/replica";
import type { State } from "./state.ts";

/** How soon a replica should ask again when this node knows too little, in milliseconds. */
const againMs = 50;

/** Answers replicas that ask for what they lack. The nodes of a control plane share the questions. */
export async function serveSync(bus: Bus, state: State, log: Log): Promise<AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const snapshots = new SnapshotSender({ bus });
  for (const journal of journalNames) {
    stack.use(
      await bus.subscribe(
        subjects.sync(journal),
        (message) => {
          const request = readSyncRequest(message);
          if (request === undefined) return;
          const { state: standing, epoch, applied } = state.replica(journal).status();
          if (standing !== "live" || epoch === undefined)
            return declineSync(message, againMs, standing);
          // A node that lags behind what the asker has heard of would take it back in time.
          if (request.atLeast > applied) return declineSync(message, againMs, `at ${applied}`);
          const { node } = request;
          const delta =
            request.epoch === epoch && request.applied <= applied
              ? entriesAfter(state, journal, request.applied, applied)
              : undefined;
          log.debug(
            { journal, node, from: delta === undefined ? 0 : request.applied, to: applied },
            "sync asked",
          );
          if (delta !== undefined) {
            void answerSync(
              message,
              { mode: "delta", epoch, to: applied, entries: delta },
              { bus },
            );
            return;
          }
          snapshots
            .send(message, `${journal} ${node}`, async () => ({
              mode: "snapshot",
              epoch,
              to: applied,
              ...(await everything(state, journal)),
            }))
            .catch((error: unknown) => {
              log.error({ journal, node, cause: messageOf(error) }, "sync failed");
            });
        },
        { queue: controlPlaneQueue },
      ),
    );
  }
  return stack;
}

/** What was recorded after a position; undefined when not all of it is at hand, and a snapshot has to do. */
function entriesAfter(state: State, journal: JournalName, from: Sequence, applied: Sequence) {
  return journal === "revocations" || journal === "invalidations"
    ? state[journal].after(from, applied)
    : state[journal].after(from);
}

async function everything(state: State, journal: JournalName) {
  return journal === "revocations"
    ? { dump: await state.revocations.dump() }
    : { entries: state[journal].all() };
}
