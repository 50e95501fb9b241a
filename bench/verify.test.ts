import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { body } from "./body.ts";
import type { Started } from "./contender.ts";
import { apply } from "./load.ts";
import { has } from "./tools.ts";
import { verifyAnswer, verifyLog } from "./verify.ts";

async function answering(listener: RequestListener): Promise<Started> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    pid: process.pid,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

test("a program that answers something else than the others is not measured", async () => {
  await using right = await answering((_request, response) => response.end(body));
  await verifyAnswer("right", right);
  await using other = await answering((_request, response) => response.end("{}"));
  await expect(verifyAnswer("other", other)).rejects.toThrow("other does not answer 200");
  await using refusing = await answering((_request, response) => response.writeHead(503).end(body));
  await expect(verifyAnswer("refusing", refusing)).rejects.toThrow("503");
});

test("a program that logged fewer lines than it answered is not measured", async () => {
  const directory = mkdtempSync(join(tmpdir(), "tocsin-bench-test-"));
  try {
    const log = join(directory, "access.log");
    writeFileSync(log, "a\nb\nc\n");
    await verifyLog("thorough", log, 3);
    await expect(verifyLog("forgetful", log, 4)).rejects.toThrow(
      "forgetful answered 4 requests and logged 3",
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test.skipIf(!has("wrk"))("a single refusal makes a run worthless", async () => {
  const shape = { connections: 2, seconds: 1, core: undefined, tokenFile: undefined };
  await using right = await answering((_request, response) => response.end(body));
  await expect(apply({ url: right.url, ...shape })).resolves.toMatchObject({
    refused: 0,
    broken: 0,
  });
  let requests = 0;
  await using nearlyRight = await answering((_request, response) => {
    response.writeHead(++requests === 10 ? 429 : 200).end(body);
  });
  await expect(apply({ url: nearlyRight.url, ...shape })).rejects.toThrow("1 of them refusals");
});

test.skipIf(!has("wrk"))("with a file of tokens, each request carries the next one", async () => {
  const directory = mkdtempSync(join(tmpdir(), "tocsin-bench-test-"));
  try {
    const tokenFile = join(directory, "tokens.txt");
    writeFileSync(tokenFile, "one\ntwo\nthree\n");
    const seen: (string | undefined)[] = [];
    await using server = await answering((request, response) => {
      seen.push(`${request.headers.host} ${request.headers.authorization}`);
      response.end(body);
    });
    await apply({ url: server.url, connections: 1, seconds: 1, core: undefined, tokenFile });
    const { host } = new URL(server.url);
    // wrk makes one request up to look at it, and does not send it.
    const first = seen.indexOf(`${host} Bearer one`);
    expect(seen.slice(first, first + 4)).toEqual(
      ["one", "two", "three", "one"].map((token) => `${host} Bearer ${token}`),
    );
    expect(new Set(seen).size).toBe(3);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
