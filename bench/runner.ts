/** Starts the contenders, proves that they answer alike, and measures them in turn, so that what disturbs one disturbs all. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { usageOf } from "./accounting.ts";
import type { Contender, Started, Surroundings } from "./contender.ts";
import { apply } from "./load.ts";
import { measure, type Run, type Shape } from "./measure.ts";
import { startUpstream } from "./nginx.ts";
import type { Placement } from "./placement.ts";
import { spreadOf, type Spread } from "./statistics.ts";
import { path, verifyAnswer } from "./verify.ts";

export interface Plan extends Shape {
  readonly contenders: readonly Contender[];
  /**
   * How often all programs are started anew. What the compiler and the collector of a Node process settle on differs from start to
   * start, and then stays: within one start the runs agree with each other, and may still be off together.
   */
  readonly starts: number;
  /** Measurements per start. */
  readonly runs: number;
  /** Load before the first run, in seconds: code is compiled, caches are filled, connections are open. */
  readonly warmUpSeconds: number;
  readonly placement: Placement;
  /** Everything that is written goes below it. */
  readonly directory: string;
  readonly say: (line: string) => void;
  /** Gives up. */
  readonly signal: AbortSignal;
}

export interface Measured {
  readonly name: string;
  readonly title: string;
  readonly cpuMicrosPerRequest: Spread;
  readonly requestsPerSecond: Spread;
  readonly p99Micros: Spread;
  /** Resident memory when it was up and had answered one request. */
  readonly idleResidentBytes: number;
  /** The most that any run ended with. */
  readonly residentBytes: number;
  readonly runs: readonly Run[];
}

interface Entrant {
  readonly contender: Contender;
  readonly started: Started;
  readonly idleResidentBytes: number;
  readonly runs: Run[];
}

/** What one start of a contender has shown. */
type Shown = Pick<Entrant, "contender" | "idleResidentBytes" | "runs">;

/** @throws Error when a contender does not start, answers something else than the others, or fails a request */
export async function compare(plan: Plan): Promise<Measured[]> {
  const shown: Shown[] = [];
  for (let start = 1; start <= plan.starts; start++) {
    plan.say(`start ${start}/${plan.starts}`);
    shown.push(
      ...(await measureOneStart({ ...plan, directory: join(plan.directory, `start-${start}`) })),
    );
  }
  return plan.contenders.map((contender) =>
    summaryOf(
      contender,
      shown.filter((one) => one.contender === contender),
    ),
  );
}

async function measureOneStart(plan: Plan): Promise<Shown[]> {
  const { placement, signal, say } = plan;
  await using stack = new AsyncDisposableStack();
  const upstream = stack.use(
    await startUpstream({ directory: join(plan.directory, "upstream"), core: placement.upstream }),
  );
  const entrants: Entrant[] = [];
  for (const contender of plan.contenders) {
    signal.throwIfAborted();
    say(`starting ${contender.name}`);
    const directory = join(plan.directory, contender.name);
    mkdirSync(directory, { recursive: true });
    const surroundings: Surroundings = { placement, upstream: upstream.url, directory };
    const started = stack.use(await contender.start(surroundings));
    await verifyAnswer(contender.name, started);
    const { residentBytes: idleResidentBytes } = usageOf(started.pid);
    entrants.push({ contender, started, idleResidentBytes, runs: [] });
  }
  for (const { contender, started } of entrants) {
    signal.throwIfAborted();
    say(`warming up ${contender.name}`);
    await apply({
      url: started.url + path,
      connections: plan.connections,
      seconds: plan.warmUpSeconds,
      core: placement.load,
      tokenFile: started.tokenFile,
    });
  }
  for (let round = 1; round <= plan.runs; round++) {
    for (const { contender, started, runs } of entrants) {
      signal.throwIfAborted();
      const run = await measure(contender.name, started, placement, plan);
      runs.push(run);
      say(
        `run ${round}/${plan.runs}  ${contender.name.padEnd(24)} ${run.cpuMicrosPerRequest.toFixed(1)} µs`,
      );
    }
  }
  for (const { contender, started } of entrants) await verifyAnswer(contender.name, started);
  return entrants;
}

function summaryOf(contender: Contender, shown: readonly Shown[]): Measured {
  const runs = shown.flatMap((one) => one.runs);
  return {
    name: contender.name,
    title: contender.title,
    cpuMicrosPerRequest: spreadOf(runs.map((run) => run.cpuMicrosPerRequest)),
    requestsPerSecond: spreadOf(runs.map((run) => run.requestsPerSecond)),
    p99Micros: spreadOf(runs.map((run) => run.p99Micros)),
    idleResidentBytes: Math.max(...shown.map((one) => one.idleResidentBytes)),
    residentBytes: Math.max(...runs.map((run) => run.residentBytes)),
    runs,
  };
}
