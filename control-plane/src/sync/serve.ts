import type { Log } from "@tocsin/shared";
import { controlPlaneQueue, subjects, type Bus } from "@tocsin/shared/bus";
import { journalNames, type JournalName } from "@tocsin/shared/journal";
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
          const delta = request.epoch === epoch && request.applied <= applied;
          const held = table(state, journal);
          const { node } = request;
          log.debug(
            { journal, node, from: delta ? request.applied : 0, to: applied },
            "sync asked",
          );
          if (delta) {
            const entries = held.after(request.applied);
            void answerSync(message, { mode: "delta", epoch, to: applied, entries }, { bus });
          } else
            void snapshots.send(message, `${journal} ${node}`, () => ({
              mode: "snapshot",
              epoch,
              to: applied,
              entries: held.all(),
            }));
        },
        { queue: controlPlaneQueue },
      ),
    );
  }
  return stack;
}

function table(state: State, journal: JournalName) {
  switch (journal) {
    case "catalogue":
      return state.catalogue;
    case "health":
      return state.health;
    case "revocations":
      return state.revocations;
    default:
      return journal satisfies never;
  }
}
