import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { fromPs, usageOf } from "./accounting.ts";

const burn = (ms: number) => `const end = Date.now() + ${ms}; while (Date.now() < end);`;

test("a process is charged with what its children used, running ones and ended ones", async () => {
  // It does nothing itself: one child burns and ends, another one burns and stays.
  const child = spawn(
    process.execPath,
    [
      "--eval",
      `const { spawn, spawnSync } = require("node:child_process");
       spawnSync(process.execPath, ["--eval", ${JSON.stringify(burn(300))}]);
       const stays = spawn(process.execPath, ["--eval", ${JSON.stringify(`${burn(300)} console.log("burnt"); setInterval(() => {}, 1000);`)}]);
       stays.stdout.once("data", () => console.log("both burnt"));
       process.once("SIGTERM", () => { stays.kill(); process.exit(); });`,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  try {
    await once(child.stdout, "data");
    const usage = usageOf(child.pid!);
    // Wall time is burnt, and a busy machine gives less CPU time for it.
    expect(usage.cpuMicros).toBeGreaterThan(200_000);
    expect(usage.residentBytes).toBeGreaterThan(20 * 2 ** 20);
  } finally {
    child.kill();
    await once(child, "exit");
  }
});

test("without /proc, the lines of ps say the same", () => {
  const lines = `
      1     0       0:01.00   1000
     70     1       1:02.50   2000
     71    70  1-02:03:04     3000
     72    71      10:00.01    500
     80     1       9:00.00   9000
`;
  expect(fromPs(70, lines)).toEqual({
    cpuMicros: 62_500_000 + 93_784_000_000 + 600_010_000,
    residentBytes: 5_500 * 1024,
  });
  expect(() => fromPs(99, lines)).toThrow("the process 99 is gone");
});
