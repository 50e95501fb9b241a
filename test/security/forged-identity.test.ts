/**
 * Forged words about who asks, in every form of request, with every kind of credential, through each proxy: the service hears what the
 * gateway says, once, and nothing else.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { modes } from "../harness/gateway.ts";
import { converse } from "../harness/raw.ts";
import { soon } from "../harness/soon.ts";
import { startKit, type Kit, type Shown } from "./access-kit.ts";
import { otherShapes, shapes, textOf, type Shape } from "./access-shapes.ts";
import { expectTruth, type Told } from "./expect-truth.ts";
import { forgeries, malformed, type Forgery } from "./forgeries.ts";

interface Visit {
  readonly path: string;
  readonly shown: Shown;
  /** Whom the service has to hear of; undefined: it hears nothing. */
  readonly told: Told | undefined;
}

const every = [...shapes, ...otherShapes];

describe.each(modes)("forged identity, %s", (mode) => {
  let kit: Kit;
  let visits: Visit[];
  beforeAll(async () => {
    kit = await startKit(mode);
    const bearer = async (claims = {}): Promise<Shown> => [
      [
        "Authorization",
        `Bearer ${await kit.token({ roles: ["clerk"], scope: "read", ...claims })}`,
      ],
    ];
    const token = await bearer();
    const cookie: Shown = [["Cookie", `sid=${kit.sessions.good}`]];
    const key: Shown = [["X-API-Key", kit.keys.good]];
    const nobody = { "x-auth-method": "none" };
    const ada = {
      "x-auth-method": "jwt",
      "x-user-id": "ada",
      "x-user-roles": "clerk",
      "x-user-scopes": "read",
    };
    const billing = {
      "x-auth-method": "api-key",
      "x-user-id": "billing",
      "x-user-roles": "clerk",
    };
    const sue = {
      "x-auth-method": "session",
      "x-user-id": "sue",
      "x-user-roles": "clerk",
      "x-auth-session": kit.sids.good,
    };
    // Of this one there is nothing to say but a name: what is not said cannot be filled in.
    const bare = await bearer({ roles: undefined, scope: undefined });
    visits = [
      { path: "/none", shown: [], told: nobody },
      { path: "/none", shown: token, told: nobody },
      { path: "/none", shown: cookie, told: nobody },
      { path: "/none", shown: [["Authorization", "Bearer abc"]], told: nobody },
      { path: "/optional", shown: [], told: nobody },
      { path: "/optional", shown: [["Authorization", "Bearer abc"]], told: undefined },
      ...["/optional", "/required"].flatMap((path) => [
        { path, shown: token, told: ada },
        { path, shown: bare, told: { "x-auth-method": "jwt", "x-user-id": "ada" } },
        { path, shown: key, told: billing },
        { path, shown: cookie, told: sue },
      ]),
      { path: "/required", shown: [], told: undefined },
      { path: "/fallen", shown: token, told: ada },
      { path: "/fallen", shown: [], told: nobody },
    ];
  }, 60_000);
  afterAll(() => kit?.[Symbol.asyncDispose]());

  async function send(url: string, shape: Shape, { path, shown }: Visit, forgery: Forgery) {
    kit.witness.heard.length = 0;
    const text = textOf(shape, path, [...shown, ...forgery.fields], url, forgery.trailers);
    const [answer] = await converse(url, text);
    const heard = kit.witness.heard.filter(({ url }) => url !== "/free");
    return { status: answer!.status, heard };
  }

  test.each(forgeries)("$what", async (forgery) => {
    for (const url of kit.gateway.urls)
      for (const visit of visits)
        for (const shape of every) {
          // A WebSocket has one place to go to.
          if (visit.path === "/fallen" && shape.name === "WebSocket") continue;
          const { status, heard } = await send(url, shape, visit, forgery);
          const where = `${shape.name} ${visit.path}`;
          const { told } = visit;
          expect([where, status]).toEqual([where, told === undefined ? 401 : shape.status]);
          expect(heard).toHaveLength(told === undefined ? 0 : 1);
          if (told !== undefined) expectTruth(heard[0]!, told);
        }
  });

  test.each(malformed)("%s is refused in every form of request", async (_what, line) => {
    for (const url of kit.gateway.urls)
      for (const { path, shown } of visits)
        for (const shape of every) {
          kit.witness.heard.length = 0;
          const text = textOf(shape, path, shown, url).replace("\r\n", `\r\n${line}\r\n`);
          const answers = await converse(url, text);
          expect(answers.map(({ status }) => status)).toEqual([400]);
          expect(kit.witness.heard).toEqual([]);
        }
  });

  test("a request that is tried again says the same, once, to each that hears it", async () => {
    const [ada] = visits.filter(({ path }) => path === "/required");
    const forgery = forgeries.find(({ what }) => what === "twice")!;
    for (const url of kit.gateway.urls)
      for (const { shown, told } of [ada!, visits[0]!])
        await soon(async () => {
          for (const { heard } of [kit.witness, kit.second]) heard.length = 0;
          kit.witness.failing = 1;
          const text = textOf(shapes[0]!, "/retried", [...shown, ...forgery.fields], url);
          const [answer] = await converse(url, text);
          expect(answer!.status).toBe(200);
          const heard = [...kit.witness.heard, ...kit.second.heard];
          const tries = heard.filter(({ url }) => url !== "/free");
          // Whose turn it is is the gateway's choice.
          expect(kit.witness.failing).toBe(0);
          expect(tries).toHaveLength(2);
          for (const each of tries) expectTruth(each, told!);
        });
  });
});
