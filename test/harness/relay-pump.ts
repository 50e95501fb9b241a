import type { Socket } from "node:net";

export interface PumpState {
  mode: "pass" | "hold" | "drop";
  delayMs: number;
}

export interface Pump {
  /** The state has changed: look again. */
  changed(): void;
}

/** Carries bytes from one socket to another, one direction, in order, with back-pressure, as the shared state says at that moment. */
export function createPump(
  from: Socket,
  to: Socket,
  state: PumpState,
  spend: (bytes: number) => void,
  filter: (chunk: Buffer) => Buffer = (chunk) => chunk,
): Pump {
  const queue: { piece: Buffer | "end"; due: number }[] = [];

  const drain = () => {
    while (state.mode === "pass" && queue.length > 0) {
      const { piece, due } = queue[0]!;
      const waitMs = due - performance.now();
      if (waitMs > 0) {
        setTimeout(drain, waitMs);
        break;
      }
      queue.shift();
      if (to.destroyed) continue;
      if (piece === "end") to.end();
      else if (piece.length > 0) {
        if (!to.write(piece)) from.pause();
        spend(piece.length);
      }
    }
  };
  const take = (piece: Buffer | "end") => {
    if (state.mode === "drop") return;
    queue.push({ piece, due: performance.now() + state.delayMs });
    if (state.mode === "hold") from.pause();
    else drain();
  };

  from.on("data", (chunk: Buffer) => take(filter(chunk)));
  from.on("end", () => take("end"));
  to.on("drain", () => {
    if (state.mode !== "hold") from.resume();
  });

  return {
    changed() {
      if (state.mode === "hold") return;
      if (state.mode === "drop") queue.length = 0;
      if (state.delayMs === 0) for (const item of queue) item.due = 0;
      drain();
      if (!from.destroyed) from.resume();
    },
  };
}
