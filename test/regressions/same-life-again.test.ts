/** An instance that comes back under the name of its former life, as clients do that keep theirs for as long as they run. */
import { expect, test } from "vitest";
import { modes, startGateway } from "../harness/gateway.ts";
import { startOrigin } from "../harness/origin.ts";
import { soon } from "../harness/soon.ts";

const config = JSON.stringify({
  version: 1,
  environment: "development",
  discovery: {
    autoRoutes: { auth: "none" },
    register: [{ service: "*", urls: ["http://127.0.0.1:*"] }],
  },
});

test.each(modes)("it is routed again (%s)", async (mode) => {
  await using origin = await startOrigin();
  await using gateway = await startGateway(mode, { config });
  const place = "/v1/services/users/instances/u1";
  const statuses = async () => (await gateway.askAll("/api/users/")).map(({ status }) => status);
  const register = () => gateway.admin("PUT", place, { url: origin.url, boot: "life-1" });
  for (let round = 0; round < 3; round += 1) {
    expect((await register()).status).toBe(200);
    await soon(async () => expect(new Set(await statuses())).toEqual(new Set([200])));
    expect((await gateway.admin("DELETE", place)).status).toBe(200);
    expect(await statuses()).not.toContain(200);
  }
});
