import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Journals } from "@tocsin/shared/journal";
import { afterEach, expect, test, vi } from "vitest";
import { startTestNode } from "../testing/node.ts";

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

test("many instances that come at once are each written down once", async () => {
  const server = createServer((_request, response) => response.end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stack.defer(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let appended = 0;
  const node = stack.use(
    await startTestNode({
      journals: (real): Journals => ({
        ...real,
        health: new Proxy(real.health, {
          get(target, name) {
            const value: unknown = Reflect.get(target, name, target);
            if (typeof value !== "function") return value;
            return (...given: unknown[]) => {
              if (name === "append") appended++;
              return (value as (...all: unknown[]) => unknown).apply(target, given);
            };
          },
        }),
      }),
    }),
  );
  const names = Array.from({ length: 40 }, (_, index) => `users-${index}`);
  await Promise.all(
    names.map((name) => node.call("PUT", `/v1/services/users/instances/${name}`, { url })),
  );
  await vi.waitFor(
    async () => {
      const { instances } = (await node.call("GET", "/v1/services/users")).json() as {
        instances?: { verdict: string }[];
      };
      expect(instances?.filter(({ verdict }) => verdict === "healthy")).toHaveLength(40);
    },
    { timeout: 5_000 },
  );
  expect(appended).toBe(40);
});
