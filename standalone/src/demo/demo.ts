/** `tocsin demo`: a whole gateway, services that register themselves, and lines to try. */
import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { Secret, systemClock } from "@tocsin/shared";
import { adminToken } from "../admin-token.ts";
import type { CommandContext } from "../command.ts";
import { serve } from "../serve.ts";
import { startStandalone } from "../standalone.ts";
import { demoConfig, demoIssuer } from "./config.ts";
import { demoLines } from "./lines.ts";
import { startDemoServices } from "./services.ts";
import { writeDemoTokens } from "./tokens.ts";

export function runDemo(context: CommandContext): Promise<number> {
  const secret = new Secret(randomBytes(32).toString("hex"));
  // What a service says about itself every few seconds is not what a newcomer came to read.
  const environment = {
    TOCSIN_LOG_LEVEL: "warn",
    ...context.environment,
    [demoIssuer.secretVariable]: secret.reveal(),
  };
  return serve({ ...context, environment }, "standalone", async (prepared) => {
    const { settings } = prepared;
    const directory = join(settings.TOCSIN_STATE_DIR, "demo");
    // A demo begins anew: what was revoked in the last one is not in this one.
    rmSync(directory, { recursive: true, force: true });
    const token = adminToken(settings);
    await using stack = new AsyncDisposableStack();
    const running = stack.use(
      await startStandalone({
        ...prepared,
        config: { source: demoConfig, name: "the demo's config" },
        adminToken: token,
        environment,
        journalDirectory: join(directory, "journal"),
      }),
    );
    const tokens = await writeDemoTokens(directory, secret, systemClock);
    const services = stack.use(
      await startDemoServices({
        adminUrl: running.controlPlane.adminUrl,
        adminToken: token.token,
        path: context.environment["PATH"],
      }),
    );
    const { url: proxy, probeUrl: probe } = running.proxy;
    const admin = running.controlPlane.adminUrl;
    if (!context.json) {
      const prefix = commandPrefix(context.environment, admin);
      context.stdout.write(
        demoLines({
          proxy: proxy.replace("//0.0.0.0:", "//localhost:"),
          probe,
          admin,
          tokens,
          services: services.running,
          prefix,
        }),
      );
    }
    const owned = stack.move();
    return {
      bound: {
        role: "standalone",
        proxy,
        probe,
        admin,
        ...(token.file === undefined ? {} : { adminTokenFile: token.file }),
      },
      announced: !context.json,
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  });
}

/** What must stand before `npx tocsin` in another terminal so that it finds this gateway. */
function commandPrefix(environment: CommandContext["environment"], admin: string): string {
  const parts: string[] = [];
  if (admin !== "http://127.0.0.1:7070") parts.push(`TOCSIN_ADMIN_URL=${admin}`);
  if (environment["TOCSIN_STATE_DIR"])
    parts.push(`TOCSIN_STATE_DIR=${environment["TOCSIN_STATE_DIR"]}`);
  return parts.map((part) => `${part} `).join("");
}
