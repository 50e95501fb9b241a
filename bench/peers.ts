/** Who is measured beside us, each configured as somebody who means well would. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Contender, Started, Surroundings } from "./contender.ts";
import { startNginxProxy } from "./nginx.ts";
import { launch } from "./processes.ts";

export const peers: readonly Contender[] = [
  {
    name: "node-http-memory",
    title: "node:http, answers from memory",
    start: startNodePeer("node-http-memory.ts"),
  },
  {
    name: "nginx",
    title: "nginx, proxied, access log",
    async start({ placement, upstream, directory }) {
      const accessLog = join(directory, "access.log");
      writeFileSync(accessLog, "");
      const nginx = await startNginxProxy({
        directory,
        core: placement.program,
        upstream,
        accessLog,
      });
      return { ...nginx, accessLog };
    },
  },
  {
    name: "node-undici",
    title: "node:http + undici, proxied, bare",
    start: startNodePeer("node-undici.ts"),
  },
  {
    name: "fastify-http-proxy",
    title: "@fastify/http-proxy, proxied, bare",
    start: startNodePeer("fastify-http-proxy.ts"),
  },
];

function startNodePeer(file: string) {
  return async ({ placement, upstream }: Surroundings): Promise<Started> => {
    const running = await launch({
      command: [process.execPath, join(import.meta.dirname, "peers", file), upstream],
      core: placement.program,
    });
    return { ...running, url: running.output().trim() };
  };
}
