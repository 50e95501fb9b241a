import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["*/**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/dist/**"],
    pool: "forks",
    testTimeout: 20_000,
    hookTimeout: 30_000,
    // Two cores: more files at once only makes real servers slow, and slow servers make tests lie.
    maxWorkers: 2,
    // Bounds of time are the product's own, and the machines are shared: one that was missed is tried once more.
    retry: 1,
  },
});
