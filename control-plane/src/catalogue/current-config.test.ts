import { systemClock } from "@tocsin/shared";
import { catalogueKeys, protocolVersion } from "@tocsin/shared/contract";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import { afterEach, expect, test, vi } from "vitest";
import { startTestNode, type TestNode } from "../testing/node.ts";

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

async function openStore() {
  const bus = stack.use(createEmbeddedBus());
  const { journals } = stack.use(await openEmbeddedStore(":memory:", { bus, clock: systemClock }));
  return { bus, journals };
}
const source = "version: 1\nservices: { users: {} }\n";
const instance = "/v1/services/users/instances/users-1";
/** As a newer version may have written it. */
const unreadable = (revision: number) => ({
  key: catalogueKeys.config,
  body: JSON.stringify({
    v: protocolVersion,
    kind: "config",
    revision,
    document: { version: 1, somethingNewer: true },
    source: "version: 1\nsomethingNewer: true\n",
  }),
});

test("a config that cannot be read leaves the last good one in force, and can be replaced", async () => {
  const store = await openStore();
  const node = stack.use(await startTestNode({ store, source }));
  await store.journals.catalogue.append(unreadable(2));
  await vi.waitFor(async () => {
    await node.call("GET", "/v1/config");
    expect(node.lines).toContainEqual(
      expect.objectContaining({ message: "the applied config cannot be read here", revision: 2 }),
    );
  });
  expect((await node.call("GET", "/v1/services/users")).status).toBe(200);
  // A probe asks for the config, too.
  expect((await node.call("PUT", instance, { url: "http://127.0.0.1:1" })).status).toBe(200);
  const replaced = await node.call("PUT", "/v1/config?wait=0", source, { "if-match": '"2"' });
  expect(replaced.json()).toMatchObject({ revision: 3 });
});

test("a node starts on a config that it cannot read, and applies its own", async () => {
  const store = await openStore();
  await store.journals.catalogue.append(unreadable(7));
  const node = stack.use(await startTestNode({ store, source }));
  expect((await node.call("GET", "/v1/config")).json()).toMatchObject({ revision: 8 });
});

test("nodes that start at the same moment with the same config all start, on one revision", async () => {
  const store = await openStore();
  const nodes = await Promise.all([1, 2, 3].map(() => startTestNode({ store, source })));
  for (const node of nodes) stack.use(node);
  for (const node of nodes)
    expect((await node.call("GET", "/v1/config")).json()).toMatchObject({ revision: 1 });
});

test("of two who apply at once without a condition both are applied, one after the other", async () => {
  const store = await openStore();
  const node = stack.use(await startTestNode({ store, source }));
  const answers = await Promise.all(
    ["one", "two"].map((name) =>
      node.call("PUT", "/v1/config?wait=0", { version: 1, services: { [name]: {} } }),
    ),
  );
  expect(new Set(answers.map((answer) => answer.json()["revision"]))).toEqual(new Set([2, 3]));
});

test("a node that starts with the file from before keeps what was edited since; a file that has changed is applied", async () => {
  await using stack = new AsyncDisposableStack();
  const bus = stack.use(createEmbeddedBus());
  const { journals } = stack.use(await openEmbeddedStore(":memory:", { bus, clock: systemClock }));
  const file = (name: string) => `version: 1\nservices: { ${name}: {} }\n`;
  const services = async (node: TestNode) => {
    const { config, revision } = (await node.call("GET", "/v1/config")).json() as unknown as {
      config: { services: object };
      revision: number;
    };
    return [revision, ...Object.keys(config.services)];
  };
  {
    await using node = await startTestNode({ store: { bus, journals }, source: file("one") });
    expect(await services(node)).toEqual([1, "one"]);
    const put = await node.call("PUT", "/v1/config?wait=0", file("edited"), {
      "content-type": "application/yaml",
    });
    expect(put.status).toBe(202);
  }
  {
    await using node = await startTestNode({ store: { bus, journals }, source: file("one") });
    expect(await services(node)).toEqual([2, "edited"]);
  }
  await using node = await startTestNode({ store: { bus, journals }, source: file("two") });
  expect(await services(node)).toEqual([3, "two"]);
});
