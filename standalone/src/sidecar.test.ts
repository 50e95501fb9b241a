/** What a sidecar is told on the command line, where it says it is, and how it holds its lease. */
import { sleep, silentLog, systemClock } from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import { createEmbeddedBus } from "@tocsin/shared/embedded";
import { busRegistry } from "@tocsin/sdk/lease";
import { describe, expect, test, vi } from "vitest";
import { NotStarted } from "./prelude.ts";
import { advertisedUrl } from "./sidecar-address.ts";
import { SidecarRegistrar } from "./sidecar-registrar.ts";
import { besideOf } from "./sidecar-word.ts";

describe("--sidecar", () => {
  test.each([
    ["users=http://127.0.0.1:8001", "users", "http://127.0.0.1:8001"],
    ["users=http://127.0.0.1:8001/", "users", "http://127.0.0.1:8001"],
    ["a-1=https://[::1]:443", "a-1", "https://[::1]"],
    ["users=http://app:80", "users", "http://app"],
  ])("%s", (word, service, url) => {
    expect(besideOf([word])).toEqual({ service, url });
  });

  test.each([
    "users",
    "=http://a",
    "users=",
    "users=127.0.0.1:8001",
    "Users=http://a",
    "users=ftp://a",
    "users=http://a/path",
    "users=http://u:p@a",
    "http://127.0.0.1:8001",
  ])("%s is told what is allowed", (word) => {
    expect(() => besideOf([word])).toThrow(/^--sidecar: found ".*", allowed: NAME=URL/);
  });

  test("two of them are one too many, and the error says what to do", () => {
    const both = () => besideOf(["a=http://h:1", "b=http://h:2"]);
    expect(both).toThrow(NotStarted);
    expect(both).toThrow(/beside one service, found 2.*tocsin proxy --sidecar b=http:\/\/h:2/);
  });
});

describe("where a sidecar says it is", () => {
  const version4 = (address: string, internal = false) => ({
    address,
    internal,
    family: "IPv4" as const,
    netmask: "",
    mac: "",
    cidr: null,
  });
  const version6 = (address: string) => ({
    ...version4(address),
    family: "IPv6" as const,
    scopeid: 0,
  });
  const loopback = [version4("127.0.0.1", true)];
  const outward = {
    lo: loopback,
    eth0: [version6("fe80::1"), version6("fd00::5"), version4("10.0.0.5")],
  };

  test.each([
    ["a host that was named", { host: "192.0.2.1", port: 1 }, outward, "http://192.0.2.1:1"],
    ["one of IPv6", { host: "::1", port: 1 }, outward, "http://[::1]:1"],
    ["every address", { host: "0.0.0.0", port: 8080 }, outward, "http://10.0.0.5:8080"],
    ["every address of both kinds", { host: "::", port: 8080 }, outward, "http://10.0.0.5:8080"],
    [
      "only IPv6 outward",
      { host: "::", port: 1 },
      { eth0: [version6("fd00::5")] },
      "http://[fd00::5]:1",
    ],
    [
      "IPv6 where it does not listen",
      { host: "0.0.0.0", port: 1 },
      { eth0: [version6("fd00::5")] },
      "http://127.0.0.1:1",
    ],
    [
      "link-local alone",
      { host: "0.0.0.0", port: 1 },
      { eth0: [version4("169.254.1.1")] },
      "http://127.0.0.1:1",
    ],
    ["no way out", { host: "0.0.0.0", port: 8080 }, { lo: loopback }, "http://127.0.0.1:8080"],
  ])("%s", (_, bound, interfaces, url) => {
    expect(advertisedUrl({ TOCSIN_ADVERTISE_URL: undefined }, bound, interfaces)).toBe(url);
  });

  test("the setting goes before all of that", () => {
    const settings = { TOCSIN_ADVERTISE_URL: "https://users.example" };
    expect(advertisedUrl(settings, { host: "0.0.0.0", port: 1 }, outward)).toBe(
      "https://users.example",
    );
  });
});

/** A control plane that answers as told, and remembers who asked for what. */
async function startAnswers(bus: Bus) {
  const answers = {
    asked: [] as string[],
    boots: new Set<string>(),
    /** Status of the next answers to `register`. */
    register: 200,
    /** Holds the answers to `deregister` back. */
    hold: Promise.resolve(),
  };
  await bus.subscribe("tocsin.v1.>", (message) => {
    const verb = message.subject.split(".")[2]!;
    const { boot } = JSON.parse(message.text()) as { boot: string };
    answers.asked.push(verb);
    answers.boots.add(boot);
    const status = verb === "register" ? answers.register : 200;
    const reply =
      status === 200
        ? { v: 1, ok: true, body: { lease: "10s", renew: "3s", sequence: 1 } }
        : { v: 1, ok: false, problem: { code: "forbidden", status, title: "No" } };
    const answer = () => message.respond(JSON.stringify(reply));
    if (verb === "deregister") void answers.hold.then(answer);
    else answer();
  });
  return answers;
}

async function startRegistrar() {
  const bus = createEmbeddedBus({ clock: systemClock });
  const answers = await startAnswers(bus);
  const registrar = new SidecarRegistrar({
    registry: busRegistry(bus, { service: "users", instance: "users-1", place: "here" }),
    registration: { url: "http://127.0.0.1:1", metadata: { sidecar: "true" } },
    clock: systemClock,
    random: () => 0,
    log: silentLog,
  });
  return { answers, registrar };
}

describe("the lease of a sidecar", () => {
  test("is taken and given back as the instance comes and goes, each time as another life", async () => {
    const { answers, registrar } = await startRegistrar();
    expect(registrar.state).toBe("deregistered");
    registrar.announce();
    registrar.announce();
    await vi.waitFor(() => expect(registrar.state).toBe("registered"));
    await registrar.withdraw();
    expect(registrar.state).toBe("deregistered");
    registrar.announce();
    await vi.waitFor(() => expect(registrar.state).toBe("registered"));
    await registrar.withdraw();
    expect(answers.asked).toEqual(["register", "deregister", "register", "deregister"]);
    expect(answers.boots.size).toBe(2);
  });

  test("is taken again behind a withdrawal that is under way, and never before its answer", async () => {
    const { answers, registrar } = await startRegistrar();
    const held = Promise.withResolvers<void>();
    answers.hold = held.promise;
    registrar.announce();
    await vi.waitFor(() => expect(registrar.state).toBe("registered"));
    const withdrawn = registrar.withdraw();
    registrar.announce();
    await vi.waitFor(() => expect(answers.asked).toEqual(["register", "deregister"]));
    held.resolve();
    await withdrawn;
    await vi.waitFor(() => expect(registrar.state).toBe("registered"));
    expect(answers.asked).toEqual(["register", "deregister", "register"]);
    await registrar.withdraw();
  });

  test("that is refused is asked for again later, and withdrawing does not wait for that", async () => {
    const { answers, registrar } = await startRegistrar();
    answers.register = 403;
    registrar.announce();
    await vi.waitFor(() => expect(registrar.state).toBe("refused"));
    await registrar.withdraw();
    expect(answers.asked).toEqual(["register"]);
    answers.register = 200;
    registrar.announce();
    await vi.waitFor(() => expect(registrar.state).toBe("registered"));
    await registrar.withdraw();
  });

  test("withdrawn before anything was announced, nobody is told", async () => {
    const { answers, registrar } = await startRegistrar();
    await registrar.withdraw();
    await sleep(systemClock, 0);
    expect(answers.asked).toEqual([]);
  });
});
