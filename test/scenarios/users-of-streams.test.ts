/**
 * What is open for a user is asked about again when what was known of them is forgotten: standalone, in a cluster, and where each proxy is
 * two processes.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { workersOf } from "../harness/crew.ts";
import { startGateway, type Gateway, type Mode } from "../harness/gateway.ts";
import { endless, openAnswer, openWebSocket, type Open } from "../harness/open.ts";
import { startOrigin, type Origin } from "../harness/origin.ts";
import { temporaryDirectory } from "../harness/program.ts";
import { soon } from "../harness/soon.ts";
import { issuerConfig, token } from "../harness/tokens.ts";
import { startUserService, type UserService } from "../harness/user-service.ts";
import { startWebSocketService, type WebSocketService } from "../harness/websocket-service.ts";

const setups: readonly { readonly name: string; readonly mode: Mode; readonly workers: number }[] =
  [
    { name: "standalone", mode: "standalone", workers: 1 },
    { name: "cluster", mode: "cluster", workers: 1 },
    { name: "cluster, two workers each", mode: "cluster", workers: 2 },
  ];

const configOf = (
  chat: WebSocketService,
  origin: Origin,
  service: UserService,
  roles = "{ any: [admin] }",
) => `version: 1
environment: development
${issuerConfig}  users: { service: people, path: "/internal/users/{subject}", ttl: 5m, timeout: 1s }
services:
  people: { instances: [{ url: "${service.url}" }], circuit: { failures: 1000 } }
  chat: { instances: [{ url: "${chat.url}" }] }
  files: { instances: [{ url: "${origin.url}" }], timeouts: { idle: 60s } }
routes:
  - { id: admin, match: { path: "/admin/*" }, service: chat, auth: { mode: required, roles: ${roles} }, websocket: {} }
  - { id: chat, match: { path: "/chat/*" }, service: chat, auth: required, websocket: { idle: 60s } }
  - { id: allow, match: { path: "/allow/*" }, service: chat, auth: { mode: required, users: { onUnavailable: allow } }, websocket: {} }
  - { id: files, match: { path: "/*" }, service: files, auth: required }
`;

let names = 0;
const someone = () => `user-${(names += 1)}`;

describe.each(setups)("$name", ({ mode, workers, name }) => {
  const stack = new AsyncDisposableStack();
  let gateway: Gateway;
  let service: UserService;
  let chat: WebSocketService;
  let origin: Origin;
  const files = stack.use(temporaryDirectory()).path;

  beforeAll(async () => {
    chat = stack.use(await startWebSocketService());
    origin = stack.use(await startOrigin(endless));
    service = stack.use(await startUserService());
    gateway = stack.use(
      await startGateway(mode, {
        environment: { TOCSIN_WORKERS: String(workers) },
        config: configOf(chat, origin, service),
      }),
    );
    service.users.set("warm", { active: true });
    const warm = await token({ subject: "warm" });
    await soon(async () => {
      for (const { status } of await gateway.askAll("/", { token: warm })) expect(status).toBe(200);
    });
  }, 60_000);
  afterAll(() => stack.disposeAsync());
  beforeEach(() => {
    service.behave = undefined;
  });

  const headersOf = async (subject: string, roles?: readonly string[]) => ({
    authorization: `Bearer ${await token({ subject, ...(roles && { roles }) })}`,
  });
  const questionsAbout = (subject: string) =>
    service.asked.filter((target) => target === `/internal/users/${subject}`).length;
  /** So many processes take requests. */
  const processes = () => gateway.urls.length * workers;

  interface Held {
    readonly subject: string;
    readonly sockets: Open[];
    readonly events: Open[];
    readonly downloads: Open[];
  }
  const all = ({ sockets, events, downloads }: Held) => [...sockets, ...events, ...downloads];

  /** A user with something of each kind open in every process. */
  async function holder(answer: object = { active: true }, path = "/chat/room"): Promise<Held> {
    const subject = someone();
    service.users.set(subject, answer);
    const headers = await headersOf(subject);
    const held: Held = { subject, sockets: [], events: [], downloads: [] };
    await Promise.all(
      gateway.urls.map((url, proxy) =>
        soon(async () => {
          const before = await activeOf(proxy);
          const opening = [
            ...Array.from({ length: 4 }, () => openWebSocket(url, path, headers)),
            ...Array.from({ length: 4 }, () => openAnswer(url, "/events", headers)),
            openAnswer(url, "/download", headers),
          ];
          const made = await Promise.all(opening);
          held.sockets.push(...made.slice(0, 4));
          held.events.push(...made.slice(4, 8));
          held.downloads.push(...made.slice(8));
          const after = await activeOf(proxy);
          if (after.some((active, index) => active === before[index]))
            throw new Error("which worker takes a connection is the system's choice");
        }, 10_000),
      ),
    );
    return held;
  }
  async function activeOf(proxy: number): Promise<number[]> {
    if (workers === 1) {
      const status = await fetch(`${gateway.probes[proxy]}/status`);
      return [((await status.json()) as { active: number }).active];
    }
    return (await workersOf(gateway.probes[proxy]!)).map(({ status }) => status?.active ?? 0);
  }
  const endsOf = async (open: readonly Open[]) => [
    ...new Set((await Promise.all(open.map(({ ended }) => ended))).map(({ how }) => how)),
  ];
  const isOpen = (held: Held) => all(held).every(({ isOver }) => !isOver());
  async function leave(held: Held): Promise<void> {
    for (const open of all(held)) open.leave();
    await endsOf(all(held));
  }
  async function purge(body: object): Promise<number> {
    const at = performance.now();
    const answer = await gateway.admin("POST", "/v1/invalidations", body);
    expect(answer.json()).toMatchObject({ applied: { missing: [] } });
    return at;
  }

  test("of a user who is deactivated everything ends soon after the purge, of others nothing does", async () => {
    const held = await holder();
    const other = await holder();
    const others = questionsAbout(other.subject);
    const before = questionsAbout(held.subject);
    service.users.set(held.subject, { active: false });
    const from = await purge({ user: held.subject });
    expect(await endsOf(held.sockets)).toEqual([4401]);
    expect(await endsOf(held.events)).toEqual(["proper"]);
    expect(await endsOf(held.downloads)).toEqual(["cut"]);
    const ms = performance.now() - from;
    console.log(`${name}: ${all(held).length} over ${ms.toFixed(0)} ms after the purge of a user`);
    expect(ms).toBeLessThan(1_000);
    // One question in each process, whatever was open.
    expect(questionsAbout(held.subject) - before).toBe(processes());
    expect(isOpen(other)).toBe(true);
    expect(questionsAbout(other.subject)).toBe(others);
    await leave(other);
  }, 30_000);

  test("who is still active goes on, and who has lost a role loses what needs it", async () => {
    const held = await holder({ active: true, roles: ["admin", "user"] }, "/admin/room");
    const before = questionsAbout(held.subject);
    await purge({ user: held.subject });
    await soon(() => expect(questionsAbout(held.subject) - before).toBe(processes()));
    expect(isOpen(held)).toBe(true);
    service.users.set(held.subject, { active: true, roles: ["user"] });
    await purge({ user: held.subject });
    expect(await endsOf(held.sockets)).toEqual([4403]);
    expect([...held.events, ...held.downloads].some(({ isOver }) => isOver())).toBe(false);
    await leave(held);
  }, 30_000);

  test("when the service says nothing about roles any more, those of the token count, not what it said before", async () => {
    const held = await holder({ active: true, roles: ["admin"] }, "/admin/room");
    service.users.set(held.subject, { active: true });
    await purge({ user: held.subject });
    expect(await endsOf(held.sockets)).toEqual([4403]);
    await leave(held);
  }, 30_000);

  test("what the route needs now counts", async () => {
    const held = await holder({ active: true, roles: ["admin"] }, "/admin/room");
    const apply = async (roles?: string) => {
      const file = join(files, "changed.yaml");
      writeFileSync(file, configOf(chat, origin, service, roles));
      expect((await gateway.tocsin("config", "apply", file)).code).toBe(0);
    };
    await apply("{ any: [owner] }");
    expect(isOpen(held)).toBe(true);
    await purge({ user: held.subject });
    expect(await endsOf(held.sockets)).toEqual([4403]);
    await leave(held);
    await apply();
  }, 30_000);

  test("when all are forgotten, each is asked about once by each process, and whoever has left ends", async () => {
    const users = await Promise.all(
      Array.from({ length: 60 }, async () => {
        const subject = someone();
        service.users.set(subject, { active: true });
        const headers = await headersOf(subject);
        const sockets = await Promise.all(
          gateway.urls.map((url) => openWebSocket(url, "/chat/room", headers)),
        );
        return { subject, sockets };
      }),
    );
    const before = service.asked.length;
    let onTheWay = 0;
    let most = 0;
    service.behave = (request, response) => {
      most = Math.max(most, (onTheWay += 1));
      const answer = service.users.get(decodeURIComponent(request.url!.split("/").at(-1)!));
      setTimeout(() => {
        onTheWay -= 1;
        response.end(JSON.stringify(answer));
      }, 20);
    };
    const [gone] = users;
    service.users.set(gone!.subject, { active: false });
    await purge({ all: true });
    expect(await endsOf(gone!.sockets)).toEqual([4401]);
    await soon(
      () => expect(service.asked.length - before).toBeGreaterThanOrEqual(60 * gateway.urls.length),
      10_000,
    );
    // One that is open in two processes of a proxy would be asked about by both; here each is open in one.
    expect(service.asked.length - before).toBe(60 * gateway.urls.length);
    expect(most).toBeLessThanOrEqual(32 * processes());
    expect(users.slice(1).filter(({ sockets }) => sockets.some(({ isOver }) => isOver()))).toEqual(
      [],
    );
    for (const { sockets } of users) for (const socket of sockets) socket.leave();
  }, 30_000);

  test("while the service is gone the route decides after ten seconds", async () => {
    const denied = await holder();
    const allowed = await holder({ active: true }, "/allow/room");
    await service.stop();
    const from = await purge({ user: denied.subject });
    await purge({ user: allowed.subject });
    expect(await endsOf(denied.sockets)).toEqual([1013]);
    expect(await endsOf(denied.events)).toEqual(["proper"]);
    const ms = performance.now() - from;
    expect(ms).toBeGreaterThan(9_000);
    expect(ms).toBeLessThan(15_000);
    expect(await endsOf(allowed.events)).toEqual(["proper"]);
    expect(allowed.sockets.some(({ isOver }) => isOver())).toBe(false);
    await service.start();
    await leave(allowed);
    const metrics = await fetch(`${gateway.probes[0]}/metrics`).then((response) => response.text());
    expect(metrics).toMatch(
      /^tocsin_streams_closed_total\{kind="websocket",reason="unavailable"\} [1-9]/m,
    );
    expect(metrics).toMatch(
      /^tocsin_streams_closed_total\{kind="websocket",reason="forbidden"\} [1-9]/m,
    );
  }, 60_000);
});
