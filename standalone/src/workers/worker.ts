/** A worker: a proxy that takes requests, without a connection to the bus, a disk or probes of its own. */
import { startCore, type ProxyCore } from "@tocsin/proxy";
import {
  messageOf,
  systemClock,
  systemRandom,
  type Address,
  type FlushableLog,
  type Settings,
} from "@tocsin/shared";
import { ofEachJournal } from "@tocsin/shared/journal";
import { proxyOptions } from "../names.ts";
import { clusterSessions } from "../session-store.ts";
import { version } from "../version.ts";
import { IpcBus } from "./ipc-bus.ts";
import type { Line } from "./line.ts";
import type { Standing, Standings, ToPrimary, ToWorker, WorkerState } from "./words.ts";

const nowhere: Standing = { epoch: undefined, applied: 0 };

export interface WorkerOptions {
  readonly settings: Settings;
  readonly log: FlushableLog;
  readonly line: Line<ToPrimary, ToWorker>;
  /** Its work is done, or it cannot do it. */
  readonly end: (exitCode: number) => void;
}

export async function runWorker({ settings, log, line, end }: WorkerOptions): Promise<void> {
  const bus = new IpcBus(line, systemClock);
  const { promise: admitted, resolve: admit } = Promise.withResolvers<void>();
  const {
    promise: started,
    resolve: isStarted,
    reject: isBroken,
  } = Promise.withResolvers<ProxyCore>();
  let core: ProxyCore | undefined;
  const stack = new AsyncDisposableStack();

  const fail = (error: unknown) => {
    log.error({ cause: messageOf(error) }, "worker cannot go on");
    log.flush();
    line.say({ kind: "broken", text: messageOf(error) });
    end(1);
  };

  async function listen(address: Address): Promise<void> {
    line.say({ kind: "listening", address: await (await started).listen(address) });
  }

  async function drain(noticeMs: number): Promise<void> {
    const proxy = await started;
    await proxy.drain(noticeMs);
    const samples = await proxy.samples();
    await proxy[Symbol.asyncDispose]();
    await stack.disposeAsync();
    log.flush();
    line.say({ kind: "over", samples });
  }

  async function tell(id: number, what: "samples" | "status"): Promise<void> {
    const proxy = await started;
    const told = what === "samples" ? await proxy.samples() : await proxy.probes.status();
    line.say({ kind: "told", id, told });
  }

  line.onWord((word) => {
    switch (word.kind) {
      case "ping":
        return void line.say({ kind: "pong", state: stateOf(core) });
      case "listen":
        return void listen(word.address).catch(fail);
      case "admit":
        return admit();
      case "drain":
        return void drain(word.noticeMs).catch(fail);
      case "tell":
        return void tell(word.id, word.what).catch(() => {});
      default:
        // The rest is the bus's.
        return undefined;
    }
  });
  started.catch(fail);

  try {
    core = await startCore({
      clock: systemClock,
      random: systemRandom,
      version,
      ...proxyOptions(settings),
      bus,
      ...(await clusterSessions(stack, settings, log, "proxy")),
      log,
      accessLines: (lines) => log.lines(lines),
      stateDirectory: settings.TOCSIN_STATE_DIR,
      // The primary keeps it, for all of them.
      keepsState: false,
      admitted,
    });
    isStarted(core);
  } catch (error) {
    isBroken(error);
  }
}

function stateOf(core: ProxyCore | undefined): WorkerState {
  if (core === undefined)
    return {
      hasSnapshot: false,
      standings: ofEachJournal(() => nowhere),
      active: 0,
    };
  return {
    hasSnapshot: core.hasSnapshot(),
    standings: standingsOf(core),
    active: core.active,
  };
}

/** Where a proxy stands, in the few words that others need. */
export function standingsOf(core: ProxyCore): Standings {
  const all = core.standing();
  return ofEachJournal((name) => {
    const { epoch, applied } = all[name];
    return { epoch, applied };
  });
}
