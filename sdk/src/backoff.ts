import type { Milliseconds, Random } from "@tocsin/shared";

const firstMs = 100;
/** A control plane that is back is found within this time. */
const lastMs = 1_500;

/** Time before the next try, in milliseconds: doubling from 100 ms to 1.5 s, of which a random half to whole, so that a fleet does not knock in step. */
export function backoff(failures: number, random: Random): Milliseconds {
  const ceilingMs = Math.min(lastMs, firstMs * 2 ** Math.min(10, failures - 1));
  return ceilingMs * (0.5 + random() / 2);
}
