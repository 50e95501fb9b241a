/**
 * A proxy of several processes: this one has the connection to the bus, the disk, the probes and the name; workers take the requests.
 */
import { CombinedMetrics, startCore, startProbes, type MetricSamples } from "@tocsin/proxy";
import { formatAddress, once, systemClock, systemRandom, type Milliseconds } from "@tocsin/shared";
import { proxyOptions, workerDrainMs } from "../names.ts";
import { connectedPatienceMs, natsBus } from "../nats-bus.ts";
import type { Prelude } from "../prelude.ts";
import { clusterSessions } from "../session-store.ts";
import { version } from "../version.ts";
import { Crew } from "./crew.ts";
import { clusterFork } from "./fork.ts";
import { Voice } from "./voice.ts";
import { standingsOf } from "./worker.ts";

export interface WorkersProxy extends AsyncDisposable {
  /** Public URL. */
  readonly url: string;
  readonly probeUrl: string;
  /** Replaces the workers, one after the other. */
  reload(): Promise<void>;
}

/** How often is asked what workers have counted, so that little is lost with one that is killed. */
const countMs: Milliseconds = 10_000;

/** @throws Error that names the address when one cannot be bound */
export async function startWorkersProxy(
  options: Prelude,
  size: number,
  signal: AbortSignal,
): Promise<WorkersProxy> {
  const { settings, log } = options;
  const clock = systemClock;
  const { node, listen, probeListen, drainNoticeMs } = proxyOptions(settings);
  await using stack = new AsyncDisposableStack();
  const bus = stack.use(
    await natsBus(settings, "proxy", node, options, signal, connectedPatienceMs),
  );
  const voice = stack.use(new Voice({ node, bus, clock, log }));
  const keeper = stack.use(
    await startCore({
      clock,
      random: systemRandom,
      version,
      ...proxyOptions(settings),
      node,
      bus: voice.keeperBus(),
      ...(await clusterSessions(stack, settings, log, "proxy")),
      log,
      stateDirectory: settings.TOCSIN_STATE_DIR,
    }),
  );
  const metrics = new CombinedMetrics();
  let deaths = 0;
  const crew = new Crew({
    size,
    fork: clusterFork({ TOCSIN_PROXY_ID: node }),
    voice,
    clock,
    log,
    address: listen,
    vouchedFor: () => standingsOf(keeper),
    onGone: (samples, wasTold) => {
      metrics.keep(samples);
      if (!wasTold) deaths += 1;
    },
    drainTimeoutMs: workerDrainMs(settings),
  });
  stack.defer(() => crew.drain(0));
  const counting = clock.every(countMs, () => {
    for (const member of crew.members) void member.counted();
  });
  stack.defer(counting);

  const probes = await startProbes({
    ...probeListen,
    log,
    ready: [
      ...keeper.probes.ready,
      {
        name: "workers",
        reason: () => crew.notServing(),
        detail: () => crew.members.map(({ id, phase }) => `${id} ${phase}`).join(", "),
      },
    ],
    metrics: {
      scrape: async () =>
        metrics.scrape([
          await keeper.samples(),
          ...(await Promise.all(crew.members.map((member) => member.counted()))),
          aboutWorkers(crew, deaths),
        ]),
    },
    status: async () => ({
      ...((await keeper.probes.status()) as object),
      active: crew.members.reduce((sum, { state }) => sum + (state?.active ?? 0), 0),
      workers: await Promise.all(
        crew.members.map(async (member) => ({
          worker: member.id,
          pid: member.pid,
          phase: member.phase,
          uptimeMs: Math.round(clock.monotonic() - member.startedAt),
          status: await member.tell("status"),
        })),
      ),
    }),
  });
  stack.use(probes);
  const address = await crew.listening;

  const owned = stack.move();
  return {
    url: `http://${formatAddress(address)}`,
    probeUrl: `http://${formatAddress(probes.address)}`,
    reload: () => crew.reload(),
    [Symbol.asyncDispose]: once(async () => {
      keeper.leave();
      await crew.drain(drainNoticeMs);
      await owned.disposeAsync();
    }),
  };
}

function aboutWorkers(crew: Crew, deaths: number): readonly MetricSamples[] {
  const phases = new Map<string, number>();
  for (const { phase } of crew.members) phases.set(phase, (phases.get(phase) ?? 0) + 1);
  return [
    {
      name: "tocsin_workers",
      help: "Processes of this proxy that take requests, by what they are doing.",
      type: "gauge",
      aggregator: "sum",
      values: [...phases].map(([phase, value]) => ({ value, labels: { phase } })),
    },
    {
      name: "tocsin_worker_deaths_total",
      help: "Workers that ended without being told to.",
      type: "counter",
      aggregator: "sum",
      values: [{ value: deaths, labels: {} }],
    },
  ];
}
