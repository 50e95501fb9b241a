/** The process of a worker: reads the environment that its primary gave it, and ends with its primary. */
import cluster from "node:cluster";
import { createLog, readSettings } from "@tocsin/shared";
import { channelLine } from "./line.ts";
import type { ToPrimary, ToWorker } from "./words.ts";
import { runWorker } from "./worker.ts";

// The primary hears them and says what is to be done. A terminal and an init system send them to every process of the group.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
// Without the primary nothing is heard any more, and nobody is told what was applied.
process.on("disconnect", () => process.exit(0));

const settings = readSettings(process.env);
await runWorker({
  settings,
  log: createLog({
    level: settings.TOCSIN_LOG_LEVEL,
    fields: { role: "proxy", worker: cluster.worker?.id },
    shared: true,
  }),
  line: channelLine<ToPrimary, ToWorker>(process),
  end: (exitCode) => process.exit(exitCode),
});
