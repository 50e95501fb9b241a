import { silentLog } from "@tocsin/shared";
import { expect, test } from "vitest";
import { startProbes } from "./probes.ts";

test("probes say what is so, on GET and HEAD only", async () => {
  let reason: string | undefined = "no snapshot of revocations";
  await using probes = await startProbes({
    host: "127.0.0.1",
    port: 0,
    ready: [
      { name: "snapshot", reason: () => reason },
      { name: "listening", reason: () => undefined, detail: () => "on 8080" },
    ],
    metrics: { scrape: async () => ({ text: "a 1\n", type: "text/plain; version=0.0.4" }) },
    status: () => ({ replicas: { health: "live" } }),
    log: silentLog,
  });
  const url = `http://127.0.0.1:${probes.address.port}`;
  const ask = async (path: string, method = "GET") => {
    const response = await fetch(url + path, { method });
    return {
      status: response.status,
      type: response.headers.get("content-type"),
      allow: response.headers.get("allow"),
      text: await response.text(),
    };
  };
  expect(await ask("/livez")).toMatchObject({ status: 200, text: "ok\n" });
  expect(await ask("/readyz")).toMatchObject({
    status: 503,
    text: "[-] snapshot: no snapshot of revocations\nnot ok\n",
  });
  expect((await ask("/readyz?verbose")).text).toBe(
    "[-] snapshot: no snapshot of revocations\n[+] listening ok, on 8080\nnot ok\n",
  );
  reason = undefined;
  expect(await ask("/readyz")).toMatchObject({ status: 200, text: "ok\n" });
  expect(await ask("/readyz", "HEAD")).toMatchObject({ status: 200, text: "" });
  expect(await ask("/metrics")).toMatchObject({
    status: 200,
    type: "text/plain; version=0.0.4",
    text: "a 1\n",
  });
  expect(JSON.parse((await ask("/status")).text)).toEqual({ replicas: { health: "live" } });
  expect(await ask("/other")).toMatchObject({ status: 404 });
  expect(await ask("/readyz", "POST")).toMatchObject({ status: 405, allow: "GET, HEAD" });
});

test("a probe that fails is a 500 and no crash", async () => {
  await using probes = await startProbes({
    host: "127.0.0.1",
    port: 0,
    ready: [],
    metrics: { scrape: () => Promise.reject(new Error("inner")) },
    status: () => {
      throw new Error("inner");
    },
    log: silentLog,
  });
  for (const path of ["/metrics", "/status"]) {
    const response = await fetch(`http://127.0.0.1:${probes.address.port}${path}`);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toMatch(/inner/);
  }
});

test("a port that is taken is named, and disposal is idempotent", async () => {
  const options = {
    host: "127.0.0.1",
    ready: [],
    metrics: { scrape: async () => ({ text: "", type: "" }) },
    status: () => ({}),
    log: silentLog,
  };
  const probes = await startProbes({ ...options, port: 0 });
  await expect(startProbes({ ...options, port: probes.address.port })).rejects.toThrow(
    /cannot listen on 127\.0\.0\.1:\d+: the port is taken/,
  );
  await probes[Symbol.asyncDispose]();
  await probes[Symbol.asyncDispose]();
});
