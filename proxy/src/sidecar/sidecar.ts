/** What a proxy is made of in addition when it stands beside one service. */
import {
  once,
  type Address,
  type Clock,
  type Log,
  type Milliseconds,
  type Random,
  type ServiceName,
} from "@tocsin/shared";
import { HealthPolicy, type Config } from "@tocsin/shared/contract";
import type { BoundAddress } from "../listener/bind.ts";
import { startListener, type Listener, type ListenerOptions } from "../listener/listener.ts";
import { assemble, type Engines } from "../pipeline/assemble.ts";
import type { Gate } from "../pipeline/gate.ts";
import { Streams } from "../streams/streams.ts";
import { createUpstreams } from "../upstream/upstreams.ts";
import { asCalled } from "./as-called.ts";
import { LocalInstance } from "./local-instance.ts";
import { localRoutes } from "./local-routes.ts";
import { LocalWatch } from "./local-watch.ts";
import { assembleOutbound } from "./outbound.ts";
import { Presence } from "./presence.ts";
import type { StartRegistrar } from "./registrar.ts";

export interface SidecarOptions {
  /** The service beside which it stands. */
  readonly service: ServiceName;
  /** Scheme, host and port of the one instance that gets requests. */
  readonly url: string;
  /** Where the service calls others. */
  readonly outboundListen: Address;
  readonly registrar: StartRegistrar;
}

export interface SidecarSurroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The config now; undefined: there is none yet. */
  readonly config: () => Config | undefined;
  readonly metrics: ListenerOptions["metrics"] & {
    streamClosed(...ended: Parameters<ConstructorParameters<typeof Streams>[1]>): void;
  };
  /** The gate before there is a config. */
  readonly closedGate: Gate;
}

/** Disposal cuts what is in flight on the outbound side; `leave` and `drain` first. */
export interface Sidecar extends AsyncDisposable {
  /** Where the service calls others. Undefined before {@link open}. */
  readonly outbound: BoundAddress | undefined;
  /**
   * Puts both sides together for a config.
   *
   * @param engines those of the whole fleet; the outbound side takes them as they are
   * @returns the gate of the inbound side
   */
  assemble(config: Config, engines: Engines): Gate;
  /** The routes of the last config are in force from now on. */
  serve(): void;
  /**
   * Opens the outbound side. With routes in force it begins to look after the instance, and registers the service when that is well.
   *
   * @throws Error that names the outbound address when it cannot be bound
   */
  open(listening: BoundAddress): Promise<void>;
  /** Takes the service out of the gateway for good. Resolves when nobody sends any more, at the latest after this time. */
  leave(withinMs: Milliseconds): Promise<void>;
  /** Finishes what the service has under way on the outbound side. @returns true when everything finished in time */
  drain(timeoutMs: Milliseconds): Promise<boolean>;
  /** For people. */
  status(): {
    readonly service: ServiceName;
    readonly url: string;
    readonly verdict: string;
    readonly reason: string | undefined;
    readonly registration: string;
  };
}

export function createSidecar(options: SidecarOptions, surroundings: SidecarSurroundings): Sidecar {
  const { service, url } = options;
  const { clock, random, log, metrics } = surroundings;
  const stack = new AsyncDisposableStack();
  const instance = new LocalInstance(service, url);
  const presence = new Presence({ instance, clock, log });
  // Apart from those of the fleet: what the control plane says about the instance beside us has no say in who gets requests here.
  const local = stack.use(createUpstreams({ instances: instance.instances, clock, random, log }));
  const watch = stack.use(
    new LocalWatch({
      url,
      policy: () => surroundings.config()?.services[service]?.health ?? HealthPolicy.parse({}),
      clock,
      onVerdict(verdict, dead) {
        presence.judge(verdict, dead);
        local.refresh();
      },
    }),
  );
  local.evidence.onFailure(() => watch.urge());
  const streams = stack.use(new Streams(clock, (kind, end) => metrics.streamClosed(kind, end)));
  let gate = surroundings.closedGate;
  let listener: Listener | undefined;
  let serving = false;
  const look = () => {
    // Without a config nobody has said how to look, and a knock would find an instance well whose health path says no.
    if (!serving || listener === undefined) return;
    watch.start();
    watch.heed();
  };

  return {
    get outbound() {
      return listener?.address;
    },
    assemble(config, engines) {
      gate = assembleOutbound(config, engines);
      return asCalled(
        assemble(config, {
          ...engines,
          instances: instance.instances,
          upstreams: local,
          narrowed: (router) => localRoutes(router, config, service),
        }),
      );
    },
    serve() {
      serving = true;
      presence.serve();
      look();
    },
    async open(listening) {
      listener = stack.use(
        await startListener({
          ...options.outboundListen,
          gate: () => gate,
          clock,
          log,
          metrics,
          streams,
        }),
      );
      presence.open(options.registrar(listening));
      look();
    },
    leave: (withinMs) => presence.leave(withinMs),
    drain: async (timeoutMs) => (await listener?.drain({ timeoutMs, streams })) ?? true,
    status: () => ({
      service,
      url,
      verdict: watch.verdict ?? "unknown",
      reason: watch.reason,
      registration: presence.state,
    }),
    [Symbol.asyncDispose]: once(() => stack.disposeAsync()),
  };
}
