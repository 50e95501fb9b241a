/** The worker processes of a proxy, as a test meets them. */
import { readFileSync } from "node:fs";
import { Agent, type IncomingMessage, type ServerResponse } from "node:http";
import { ask, type Answer } from "./client.ts";
import { soon } from "./soon.ts";

export interface Worker {
  readonly worker: number;
  readonly pid: number;
  readonly phase: string;
  readonly status?: { readonly active: number };
}

/** @param probe URL of the proxy's probes */
export async function workersOf(probe: string): Promise<readonly Worker[]> {
  const { workers } = (await ask(probe, "/status")).json() as { workers: readonly Worker[] };
  return workers;
}

/** Whether a process runs; one that is over and that nobody has asked about yet does not. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

export interface Everywhere extends Disposable {
  /** The same request over connections to each worker. */
  ask(path: string, token?: string): Promise<Answer[]>;
}

/** The path that a {@link Parking} keeps waiting. */
export const parkingPath = "/api/parked";

/** Keeps requests to {@link parkingPath} waiting until they are let go, and answers all others with 200. */
export class Parking {
  readonly #waiting = new Set<() => void>();
  #open = false;
  readonly handler = (request: IncomingMessage, response: ServerResponse): void => {
    request.resume();
    const answer = () => response.writeHead(200, { "content-type": "text/plain" }).end("ok");
    if (this.#open || !request.url!.endsWith("/parked")) return void answer();
    this.#waiting.add(answer);
    response.on("close", () => this.#waiting.delete(answer));
  };

  /** From now on they wait. */
  close(): void {
    this.#open = false;
  }

  /** Lets go those that wait, and those that come later. */
  release(): void {
    this.#open = true;
    for (const answer of this.#waiting) answer();
  }
}

/** Connections that come one by one tend to go to one worker; many that come at once are shared. */
const atOnce = 16;

/**
 * Connections to every worker of a proxy, kept open: opened some at a time, with a request that waits on each, until every worker has
 * one. Which worker takes a connection is the system's choice.
 */
export async function everyWorker(
  url: string,
  probe: string,
  parking: Parking,
  token?: string,
): Promise<Everywhere> {
  const agents: Agent[] = [];
  const options = (agent: Agent) => ({ agent, ...(token === undefined ? {} : { token }) });
  const parked: Promise<Answer>[] = [];
  parking.close();
  await soon(async () => {
    for (let count = 0; count < atOnce; count += 1) {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      agents.push(agent);
      parked.push(ask(url, parkingPath, options(agent)));
    }
    await soon(async () => {
      const workers = await workersOf(probe);
      const active = workers.reduce((sum, { status }) => sum + (status?.active ?? 0), 0);
      if (active < agents.length) throw new Error("not all are there yet");
    }, 2_000);
    const idle = (await workersOf(probe)).filter(({ status }) => (status?.active ?? 0) === 0);
    if (idle.length > 0) throw new Error(`no connection to ${JSON.stringify(idle)}`);
  }, 20_000);
  parking.release();
  const answers = await Promise.all(parked);
  const refused = answers.filter(({ status }) => status !== 200).map(({ status }) => status);
  if (refused.length > 0) throw new Error(`not all were let in: ${refused.join(" ")}`);
  return {
    ask: (path, other) =>
      Promise.all(
        agents.map((agent) =>
          ask(url, path, {
            agent,
            timeoutMs: 5_000,
            ...(other === undefined ? {} : { token: other }),
          }),
        ),
      ),
    [Symbol.dispose]() {
      for (const agent of agents) agent.destroy();
    },
  };
}
