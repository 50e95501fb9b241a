import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["*/**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/dist/**"],
    pool: "forks",
    testTimeout: 20_000,
    hookTimeout: 30_000,
    // On two cores, because most tests wait more than they work. More files at once would make real servers slow, and slow servers
    // make tests lie.
    maxWorkers: 3,
    // Bounds of time are the product's own, and the machines are shared: one that was missed is tried once more.
    retry: 1,
  },
});
