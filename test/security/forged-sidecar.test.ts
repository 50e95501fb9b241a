/**
 * Forged words about who asks on the way through an edge and a sidecar, and straight to the sidecar, which believes what the edge says
 * about addresses: of who asks it believes nobody.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startGateway, type Gateway } from "../harness/gateway.ts";
import { temporaryDirectory } from "../harness/program.ts";
import { converse } from "../harness/raw.ts";
import { natsConfigWithSidecars, startSidecar } from "../harness/sidecar.ts";
import { soon } from "../harness/soon.ts";
import { issuerConfig, token } from "../harness/tokens.ts";
import { startWitness, valuesIn, type Witness } from "../harness/witness.ts";
import type { Shown } from "./access-kit.ts";
import { otherShapes, shapes, textOf } from "./access-shapes.ts";
import { expectTruth, type Told } from "./expect-truth.ts";
import { forgeries } from "./forgeries.ts";

const config = `version: 1
environment: development
listen: { trustedProxies: ["127.0.0.1"] }
${issuerConfig}  apiKeys: {}
services:
  users: { health: { interval: 200ms } }
routes:
  - { id: free, match: { path: /free }, service: users, auth: none }
  - { id: none, match: { path: /none }, service: users, auth: none, websocket: true }
  - { id: optional, match: { path: /optional }, service: users, auth: optional, websocket: true }
  - { id: required, match: { path: /required }, service: users, auth: required, websocket: true }
`;

const stack = new AsyncDisposableStack();
let gateway: Gateway;
let witness: Witness;
/** The edge, and the sidecar itself. */
let urls: string[];
let outbound: string;
let alice: Shown;

beforeAll(async () => {
  const directory = stack.use(temporaryDirectory()).path;
  witness = stack.use(await startWitness());
  gateway = stack.use(
    await startGateway("cluster", {
      config,
      proxies: 1,
      natsConfig: natsConfigWithSidecars(directory, ["users"]),
    }),
  );
  const sidecar = stack.use(
    await startSidecar(gateway, { service: "users", url: witness.url, directory }),
  );
  urls = [gateway.urls[0]!, sidecar.bound["proxy"]!];
  outbound = sidecar.bound["outbound"]!;
  alice = [["Authorization", `Bearer ${await token({ subject: "alice" })}`]];
  await soon(async () => expect((await gateway.ask("/free")).status).toBe(200), 10_000);
}, 60_000);
afterAll(() => stack.disposeAsync());

/** X-Forwarded-* is believed of peers that are trusted, as are all who come to the sidecar here. */
const forged = forgeries.filter(({ what }) => what !== "as what other gateways say");

const nobody: Told = { "x-auth-method": "none" };
const known: Told = { "x-auth-method": "jwt", "x-user-id": "alice", "x-user-roles": "user" };

test.each(forged)("$what", async (forgery) => {
  const visits: readonly (readonly [path: string, shown: Shown, told: Told | undefined])[] = [
    ["/none", [], nobody],
    ["/none", alice, nobody],
    ["/optional", [], nobody],
    ["/optional", alice, known],
    ["/optional", [["Authorization", "Bearer abc"]], undefined],
    ["/required", alice, known],
    ["/required", [], undefined],
  ];
  for (const url of urls)
    for (const [path, shown, told] of visits)
      for (const shape of [...shapes, ...otherShapes]) {
        witness.heard.length = 0;
        const text = textOf(shape, path, [...shown, ...forgery.fields], url, forgery.trailers);
        const [answer] = await converse(url, text);
        const where = `${shape.name} ${url} ${path}`;
        expect([where, answer!.status]).toEqual([where, told === undefined ? 401 : shape.status]);
        const heard = witness.heard.filter(({ url }) => url !== "/free");
        expect(heard).toHaveLength(told === undefined ? 0 : 1);
        if (told !== undefined) expectTruth(heard[0]!, told);
      }
});

test("what the edge says to the sidecar does not outlive the credential: without it the service hears of nobody", async () => {
  const key = (await gateway.admin("POST", "/v1/api-keys", { principal: "billing" })).json()["key"];
  const shown: Shown = [["X-API-Key", String(key)]];
  witness.heard.length = 0;
  const [edge] = await converse(urls[0]!, textOf(shapes[0]!, "/optional", shown, urls[0]!));
  expect(edge!.status).toBe(200);
  // The key stays at the edge, and its word alone is not believed.
  expectTruth(witness.heard[0]!, nobody);
  const [refused] = await converse(urls[0]!, textOf(shapes[0]!, "/required", shown, urls[0]!));
  expect([refused!.status, refused!.problem!["code"]]).toEqual([401, "credential-missing"]);
});

test.each(forged)(
  "a service that calls another one cannot say it either: $what",
  async (forgery) => {
    for (const path of ["/users/optional", "/users/none"])
      for (const shape of [...shapes, ...otherShapes]) {
        if (!shape.goesOn) continue;
        witness.heard.length = 0;
        const text = textOf(shape, path, forgery.fields, outbound, forgery.trailers);
        await converse(outbound, text);
        const heard = witness.heard.filter(({ url }) => url !== "/free");
        expect(heard).toHaveLength(1);
        expect(valuesIn(heard[0]!.fields, "via")).toEqual(["1.1 tocsin, 1.1 tocsin"]);
        expectTruth(heard[0]!, nobody);
      }
  },
);
