/** Asks again until the answer is right; the last error tells why it never was. */
export async function soon<T>(
  check: () => Promise<T> | T,
  withinMs = 5_000,
  everyMs = 10,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** How long something took, in milliseconds. */
export async function timed<T>(
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly ms: number }> {
  const start = performance.now();
  const result = await run();
  return { result, ms: performance.now() - start };
}
