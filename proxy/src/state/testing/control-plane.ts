/** As much of a control plane as a proxy can tell from the real one: journals on a real store, answers, beacons, and an ear for reports. */
import { systemClock } from "@tocsin/shared";
import { subjects, type Bus } from "@tocsin/shared/bus";
import { Ack, ProxyHeartbeat, type Beacon } from "@tocsin/shared/contract";
import { openEmbeddedStore } from "@tocsin/shared/embedded";
import { journalNames, type Head, type JournalName, type Recorded } from "@tocsin/shared/journal";
import { answerSync, readSyncRequest } from "@tocsin/shared/replica";

export interface TestControlPlane extends AsyncDisposable {
  /** Records an entry, as an order when it has an operation id, and sends a beacon. */
  append(
    journal: JournalName,
    key: string,
    body: object | string,
    operation?: string,
  ): Promise<void>;
  readonly acks: (Ack & { readonly subject: string })[];
  readonly heartbeats: ProxyHeartbeat[];
  /** Falls silent: no beacon, no answer. The journals stay. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

const beaconMs = 50;

export async function startTestControlPlane(
  bus: Bus,
  directory = ":memory:",
): Promise<TestControlPlane> {
  const store = await openEmbeddedStore(directory, { bus, clock: systemClock });
  const acks: TestControlPlane["acks"] = [];
  const heartbeats: ProxyHeartbeat[] = [];
  let running: AsyncDisposableStack | undefined;

  async function beacon(): Promise<void> {
    if (running === undefined) return;
    const heads: [JournalName, Head][] = [];
    for (const name of journalNames) heads.push([name, await store.journals[name].head()]);
    const message: Beacon = {
      v: 1,
      controlPlane: "cp",
      journals: Object.fromEntries(heads) as Beacon["journals"],
      proxies: 1,
    };
    if (running !== undefined) bus.publish(subjects.beacon, JSON.stringify(message));
  }

  async function start(): Promise<void> {
    if (running !== undefined) return;
    const parts = new AsyncDisposableStack();
    running = parts;
    for (const name of journalNames) {
      parts.use(
        await bus.subscribe(subjects.sync(name), (message) => {
          void (async () => {
            const { epoch, head } = await store.journals[name].head();
            const request = readSyncRequest(message)!;
            const mode = request.epoch === epoch ? "delta" : "snapshot";
            const entries: Recorded[] = [];
            const from = mode === "delta" ? request.applied + 1 : 1;
            for await (const entry of store.journals[name].read(from, 1_000_000))
              entries.push(entry);
            await answerSync(message, { mode, epoch, to: head, entries });
          })();
        }),
      );
    }
    parts.use(
      await bus.subscribe(subjects.acks, (message) => {
        acks.push({ ...Ack.parse(JSON.parse(message.text())), subject: message.subject });
      }),
    );
    parts.use(
      await bus.subscribe(subjects.heartbeats("proxy"), (message) => {
        heartbeats.push(ProxyHeartbeat.parse(JSON.parse(message.text())));
      }),
    );
    parts.defer(systemClock.every(beaconMs, () => void beacon()));
    await beacon();
  }

  async function stop(): Promise<void> {
    const parts = running;
    running = undefined;
    await parts?.disposeAsync();
  }

  await start();
  return {
    acks,
    heartbeats,
    start,
    stop,
    async append(journal, key, body, operation) {
      await store.journals[journal].append(
        { key, body: typeof body === "string" ? body : JSON.stringify(body) },
        operation === undefined ? {} : { operation },
      );
      await beacon();
    },
    async [Symbol.asyncDispose]() {
      await stop();
      await store[Symbol.asyncDispose]();
    },
  };
}
