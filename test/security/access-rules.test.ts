/**
 * Who may come in, as a table: each row over every form of request and through each proxy, on one machine and in a cluster. Whoever is
 * refused gets the answer of the RFCs, and the service hears nothing of it.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { modes } from "../harness/gateway.ts";
import { converse, type RawAnswer } from "../harness/raw.ts";
import { valuesIn, type Heard } from "../harness/witness.ts";
import { startKit, type Kit, type Shown } from "./access-kit.ts";
import { places, spellings } from "./access-places.ts";
import { authorizedTwice, missing, rows, type Outcome, type Refused } from "./access-rows.ts";
import { lasting, shapes, textOf, type Shape } from "./access-shapes.ts";

const isIdentity = (name: string) => /^x[-_](user|auth)/.test(name);

/** What the service was told of who asks: each name with all its values. */
const toldIn = ({ fields }: Heard) =>
  Object.fromEntries(
    fields.flatMap(([name]) => (isIdentity(name) ? [[name, valuesIn(fields, name)]] : [])),
  );

function expectRefusal(answer: RawAnswer, { name }: Shape, refused: Refused): void {
  const { status, code, detail, challenge } = refused;
  const id = answer.field("x-request-id");
  expect(id).toMatch(/^[0-9a-f]{32}$/);
  expect({
    status: answer.status,
    challenge: answer.field("www-authenticate"),
    type: answer.field("content-type"),
    cache: answer.field("cache-control"),
  }).toEqual({
    status,
    challenge,
    type: "application/problem+json",
    cache: "no-store",
  });
  if (name === "HEAD") expect(answer.body).toBe("");
  else {
    expect(answer.field("content-length")).toBe(String(answer.body.length));
    expect(answer.problem).toEqual({
      type: `urn:tocsin:problem:${code}`,
      title: expect.any(String),
      status,
      code,
      ...(detail === undefined ? {} : { detail }),
      instance: id,
    });
  }
}

describe.each(modes)("access rules, %s", (mode) => {
  let kit: Kit;
  /** How many were let in. */
  let admitted = 0;
  beforeAll(async () => {
    kit = await startKit(mode);
    kit.witness.heard.length = 0;
  }, 60_000);
  afterAll(() => kit?.[Symbol.asyncDispose]());

  /** Sends it in one form to one proxy. @returns the answer, and what the service heard of it */
  async function send(url: string, shape: Shape, path: string, shown: Shown) {
    const before = kit.witness.heard.length;
    const [answer, next, ...more] = await converse(url, textOf(shape, path, shown, url));
    expect(more).toEqual([]);
    // An answer says whether the connection goes on, and it does as it says (RFC 9112 §9.6).
    const goesOn = answer!.field("connection") !== "close";
    if (answer!.status !== 101) expect(next?.status).toBe(goesOn ? 200 : undefined);
    const heard = kit.witness.heard.slice(before).filter(({ url }) => url !== "/free");
    return { answer: answer!, goesOn, heard };
  }

  async function expectOutcome(url: string, shape: Shape, path: string, shown: Shown, to: Outcome) {
    const { answer, goesOn, heard } = await send(url, shape, path, shown);
    if ("told" in to) {
      expect([answer.status, answer.field("www-authenticate")]).toEqual([shape.status, undefined]);
      admitted += heard.length;
      expect(heard.map(({ method, url }) => [method, url])).toEqual([[shape.method, path]]);
      expect(toldIn(heard[0]!)).toEqual(
        Object.fromEntries(Object.entries(to.told(kit)).map(([name, value]) => [name, [value]])),
      );
      // API keys and sessions are between the client and the gateway.
      const { fields } = heard[0]!;
      expect(fields.filter(([name]) => /^x.api.key$/.test(name))).toEqual([]);
      expect(valuesIn(fields, "cookie").join()).not.toContain("sid=");
    } else {
      expectRefusal(answer, shape, to);
      // Behind what is malformed nobody knows where the next request begins; and what is left of a body is not waited for.
      if (shape.body === undefined) expect(goesOn).toBe(shape.goesOn && to !== authorizedTwice);
      expect(heard).toEqual([]);
    }
    return answer;
  }

  test.each(rows)("$path, $what", async ({ path, shown, outcome }) => {
    const fields = await shown(kit);
    for (const url of kit.gateway.urls) {
      const answers = new Map<string, RawAnswer>();
      for (const shape of shapes)
        answers.set(shape.name, await expectOutcome(url, shape, path, fields, outcome));
      // RFC 9110 §9.3.2: the fields that GET would have had.
      if (!("told" in outcome))
        expect(lasting(answers.get("HEAD")!)).toEqual(lasting(answers.get("GET")!));
    }
  });

  describe("by method and path", () => {
    test.each(places)("$method $path, $what", async ({ method, path, shown, outcome }) => {
      const usual = shapes.find(({ name }) => name === method);
      const shape = usual ?? { name: method, method, status: 200, goesOn: true };
      for (const url of kit.gateway.urls)
        await expectOutcome(url, shape, path, await shown(kit), outcome);
    });

    test("a method that no route of the path has is told which ones there are", async () => {
      for (const url of kit.gateway.urls) {
        const { answer } = await send(url, { ...shapes[0]!, method: "PUT" }, "/method", []);
        expect(answer.field("allow")).toBe("GET, HEAD, POST, DELETE");
      }
    });

    test.each(spellings)("no other spelling leads past the rule: %s", async (path) => {
      for (const url of kit.gateway.urls)
        for (const shape of shapes) {
          const { answer, heard } = await send(url, shape, path, []);
          expect([shape.name, answer.status]).toEqual([
            shape.name,
            expect.toBeOneOf([400, 401, 404]),
          ]);
          expect(heard).toEqual([]);
        }
    });

    test("a target in absolute form is the same place", async () => {
      for (const url of kit.gateway.urls) {
        const path = `${url}/area/admin/x`;
        const { answer, heard } = await send(url, shapes[0]!, path, []);
        expect([answer.problem?.["code"], heard]).toEqual(["credential-missing", []]);
      }
    });
  });

  describe("with a body that has not come", () => {
    const unfinished: readonly (readonly [what: string, fields: Shown, body: string])[] = [
      ["the rest of its length is missing", [["Content-Length", "1000000"]], "some"],
      ["the last chunk is missing", [["Transfer-Encoding", "chunked"]], "4\r\nsome\r\n"],
      [
        "the client asks first",
        [
          ["Content-Length", "4"],
          ["Expect", "100-continue"],
        ],
        "",
      ],
    ];
    test.each(unfinished)(
      "%s: the answer comes, and is the last one",
      async (_what, fields, body) => {
        const shape: Shape = { ...shapes[0]!, method: "POST", goesOn: false };
        for (const url of kit.gateway.urls) {
          const before = kit.witness.heard.length;
          const answers = await converse(url, textOf(shape, "/required", fields, url) + body);
          expect(answers.map(({ status }) => status)).toEqual([401]);
          expectRefusal(answers[0]!, shape, missing);
          expect(answers[0]!.field("connection")).toBe("close");
          expect(kit.witness.heard.length).toBe(before);
        }
      },
    );
  });

  test("a page of another site is told of no token, because none would help", async () => {
    const ask = (method: string, path: string, url: string, ...fields: string[]) => {
      const { host } = new URL(url);
      const lines = [`${method} ${path} HTTP/1.1`, `Host: ${host}`, "Origin: https://evil.example"];
      return converse(url, [...lines, "Connection: close", ...fields, "", ""].join("\r\n"));
    };
    const handshake = shapes
      .find(({ name }) => name === "WebSocket")!
      .fields!.map(([name, value]) => `${name}: ${value}`);
    const before = kit.witness.heard.length;
    for (const url of kit.gateway.urls)
      for (const answers of [
        await ask("POST", "/required", url, `Cookie: sid=${kit.sessions.good}`),
        await ask("GET", "/required", url, `Cookie: sid=${kit.sessions.good}`, ...handshake),
        await ask("GET", "/none", url, ...handshake),
      ]) {
        const [answer] = answers;
        expect(answer!.problem).toMatchObject({ status: 403, code: "forbidden" });
        expect(answer!.field("www-authenticate")).toBeUndefined();
        expect(answer!.field("cache-control")).toBe("no-store");
      }
    expect(kit.witness.heard.length).toBe(before);
  });

  test("late too, the service has heard of nobody else", () => {
    const heard = kit.witness.heard.filter(({ url }) => url !== "/free");
    expect(admitted).toBeGreaterThan(500);
    expect(heard).toHaveLength(admitted);
  });
});
