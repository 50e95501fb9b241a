import type { NatsFrame } from "./nats-frames.ts";

export type Matches = (message: NatsFrame) => boolean;

interface Edit {
  readonly matches: Matches;
  /** @returns what goes out instead, and whether the edit is done with */
  readonly make: (frame: NatsFrame, bytes: Buffer) => { out: readonly Buffer[]; over: boolean };
}

/** What is to be done to single messages on their way. Each edit is for the next message that matches, and for that one alone. */
export class NatsEdits {
  #edits: Edit[] = [];

  /** Swallows it. */
  drop(matches: Matches): Promise<NatsFrame> {
    return new Promise((done) => {
      this.#once(matches, (frame) => {
        done(frame);
        return [];
      });
    });
  }

  /** Says it twice, one right after the other. */
  repeat(matches: Matches): Promise<NatsFrame> {
    return new Promise((done) => {
      this.#once(matches, (frame, bytes) => {
        done(frame);
        return [bytes, bytes];
      });
    });
  }

  /** Keeps it back until the next one that matches has passed. */
  swap(matches: Matches): Promise<readonly [first: NatsFrame, second: NatsFrame]> {
    return new Promise((done) => {
      let kept: { readonly frame: NatsFrame; readonly bytes: Buffer } | undefined;
      this.#edits.push({
        matches,
        make(frame, bytes) {
          if (kept === undefined) {
            kept = { frame, bytes: Buffer.from(bytes) };
            return { out: [], over: false };
          }
          done([kept.frame, frame]);
          return { out: [bytes, kept.bytes], over: true };
        },
      });
    });
  }

  /** What goes out in the place of a message. */
  readonly edit = (frame: NatsFrame, bytes: Buffer): readonly Buffer[] => {
    const edit = this.#edits.find(({ matches }) => matches(frame));
    if (edit === undefined) return [bytes];
    const { out, over } = edit.make(frame, bytes);
    if (over) this.#edits = this.#edits.filter((other) => other !== edit);
    return out;
  };

  #once(matches: Matches, make: (frame: NatsFrame, bytes: Buffer) => readonly Buffer[]): void {
    this.#edits.push({
      matches,
      make: (frame, bytes) => ({ out: make(frame, bytes), over: true }),
    });
  }
}
