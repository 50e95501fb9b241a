import { randomUUID } from "node:crypto";
import { once, type Clock, type Random } from "@tocsin/shared";
import { urlOf, type Destination } from "./address.ts";
import { deadlineOf, holdProcess } from "./deadline.ts";
import { assertOptions, instanceName, registrationOf } from "./description.ts";
import { drainOnSignals, type HostProcess } from "./drain.ts";
import { whereabouts, type Whereabouts } from "./environment.ts";
import { RegistrationUnavailable } from "./errors.ts";
import { createHttpRegistry } from "./http-registry.ts";
import { LeaseKeeper } from "./lease-keeper.ts";
import type { RegisterOptions, Registration, RegistrationLog } from "./options.ts";
import type { Registry } from "./registry.ts";

/** What this process lends to a registration. */
export interface Surroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly host: HostProcess;
}

/** What `register` does (there is its contract), with time, chance and the process given. */
export async function startRegistration(
  surroundings: Surroundings,
  options: RegisterOptions,
): Promise<Registration> {
  const { clock, random } = surroundings;
  const { name: service, timeoutMs = 30_000, log = standardError } = options;
  assertOptions(options);
  const place = whereabouts(options.environment ?? process.env);
  const release = holdProcess();
  const deadline = deadlineOf(clock, timeoutMs, options.signal);
  let registry: Registry | undefined;
  let lastError: Error | undefined;
  let trouble = "the server does not listen";
  try {
    const url = options.url ?? (await announcedUrl(options, place, deadline.signal));
    const instance = options.instance ?? instanceName(url);
    const onTrouble = (reason: string) => void (trouble = reason);
    const party = { service, instance, clock, log, onTrouble, signal: deadline.signal };
    registry = await connect(place, party);
    const keeper = new LeaseKeeper({
      registry,
      registration: registrationOf(options, url, randomUUID()),
      clock,
      random,
      log,
      onState(change) {
        lastError = change.error;
        options.onState?.(change);
      },
    });
    await keeper.acquire(deadline.signal);
    return standing({ surroundings, options, keeper, service, instance, url, log });
  } catch (error) {
    await registry?.[Symbol.asyncDispose]();
    if (error !== deadline.expired) throw error;
    throw new RegistrationUnavailable(
      `${service} could not be registered within ${timeoutMs} ms: ${lastError?.message ?? trouble}`,
      { cause: lastError },
    );
  } finally {
    deadline.cancel();
    release();
  }
}

interface Party {
  readonly service: string;
  readonly instance: string;
  readonly clock: Clock;
  readonly onTrouble: (reason: string) => void;
  readonly log: RegistrationLog;
  readonly signal: AbortSignal;
}

async function connect(place: Whereabouts, party: Party): Promise<Registry> {
  if (place.kind === "http") return createHttpRegistry({ ...place, ...party });
  // Loaded on demand: a service that registers over HTTP needs no NATS client.
  const { connectNatsRegistry } = await import("./nats-registry.ts");
  return connectNatsRegistry({ ...place, ...party });
}

function announcedUrl(
  options: RegisterOptions,
  place: Whereabouts,
  signal: AbortSignal,
): Promise<string> {
  return urlOf(options.server!, options.host, destinationOf(place), signal);
}

/** Host and port of the control plane, or of the first bus server. */
function destinationOf(place: Whereabouts): Destination {
  const url = place.kind === "http" ? place.url : new URL(place.servers[0]!);
  const port = Number(url.port) || (place.kind === "nats" ? 4222 : 80);
  return { host: url.hostname, port };
}

interface Standing {
  readonly surroundings: Surroundings;
  readonly options: RegisterOptions;
  readonly keeper: LeaseKeeper;
  readonly service: string;
  readonly instance: string;
  readonly url: string;
  readonly log: RegistrationLog;
}

function standing({ surroundings, options, keeper, ...rest }: Standing): Registration {
  const { drain = true, signal, server } = options;
  const deregister = async () => {
    const release = holdProcess();
    await keeper.release();
    release();
  };
  let leaveSignals = () => {};
  const close = once(async () => {
    leaveSignals();
    signal?.removeEventListener("abort", onAbort);
    await deregister();
  });
  const onAbort = () => void close();
  signal?.addEventListener("abort", onAbort, { once: true });
  if (drain !== false) {
    const { signals = ["SIGTERM", "SIGINT"] as const, timeoutMs = 30_000 } =
      drain === true ? {} : drain;
    leaveSignals = drainOnSignals({
      signals,
      timeoutMs,
      server,
      deregister,
      log: rest.log,
      host: surroundings.host,
    });
  }
  return {
    service: rest.service,
    instance: rest.instance,
    url: rest.url,
    get state() {
      return keeper.state;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Warnings and errors go to standard error, one line each; news of the ordinary does not. */
const standardError: RegistrationLog = {
  info() {},
  warn: (fields, message) => console.error(`tocsin: ${message} ${JSON.stringify(fields)}`),
  error: (fields, message) => console.error(`tocsin: ${message} ${JSON.stringify(fields)}`),
};
