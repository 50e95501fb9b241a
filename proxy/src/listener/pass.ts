import type { Socket } from "node:net";
import type { Milliseconds } from "@tocsin/shared";
import { Deadline } from "../upstream/deadlines.ts";
import type { Deadlines } from "../upstream/deadlines.ts";
import { closeFrame } from "../websocket/close-frame.ts";
import type { FrameFault, Frames } from "../websocket/frames.ts";
import { queueOf } from "./outflow.ts";
import { leastBytes } from "./upload.ts";

/** Who has both directions of a WebSocket. */
export interface PassOwner {
  /** Something came, so it is not silent. */
  heard(): void;
  /** A close frame of the side that sends has passed. */
  closePassed(): void;
  /** The side that sends breaks the rules. */
  faulty(fault: FrameFault): void;
  /** The side that receives takes nothing of what is ready for it. */
  stalled(): void;
  /** The side that sends says nothing more. */
  ended(pass: Pass): void;
  /** The connection of the side that sends is closed. */
  lost(pass: Pass): void;
}

export interface PassOptions {
  readonly frames: Frames;
  /** Towards a server frames are masked. */
  readonly toServer: boolean;
  /** How long the other side may take less than 1 KiB of what is ready for it. */
  readonly writeTimeoutMs: Milliseconds;
  readonly deadlines: Deadlines;
}

/**
 * One direction of a WebSocket: from one socket to the other, no faster than the other takes it. It is itself the wait for a side
 * that takes nothing.
 */
export class Pass extends Deadline {
  readonly from: Socket;
  readonly to: Socket;
  /** Bytes that came. */
  bytes = 0;
  /** The side that sends has said that nothing more comes. */
  over = false;
  readonly #options: PassOptions;
  readonly #frames: Frames;
  readonly #owner: PassOwner;
  /** The close frame of ours that stands behind the present frame. */
  #last: Buffer | undefined = undefined;
  /** Nothing goes on any more: what still comes is thrown away. */
  #shut = false;
  /** Bytes that the system had taken when the wait began. */
  #takenBefore = 0;

  constructor(from: Socket, to: Socket, owner: PassOwner, options: PassOptions) {
    super();
    this.from = from;
    this.to = to;
    this.#owner = owner;
    this.#options = options;
    this.#frames = options.frames;
    from.on("data", (chunk: Buffer) => this.#take(chunk));
    from.on("end", () => this.#end());
    from.on("error", () => {});
    from.on("close", () => {
      options.deadlines.stop(this);
      owner.lost(this);
    });
    to.on("drain", () => this.#drained());
  }

  /** A close frame of the side that sends has passed. */
  get closed(): boolean {
    return this.#frames.ended && !this.#shut;
  }

  /** Begins to read. @param first what came before */
  start(first: Buffer): void {
    if (first.length > 0) this.#take(first);
    if (!this.from.destroyed && !this.to.writableNeedDrain) this.from.resume();
  }

  /** Lets the present frame pass, then a close frame of ours, and nothing behind it. */
  close(code: number, reason: string): void {
    if (this.#shut || this.#last !== undefined) return;
    if (this.#frames.ended) return this.#finish(undefined);
    const frame = closeFrame(code, reason, this.#options.toServer);
    if (this.#frames.stop()) this.#finish(frame);
    else this.#last = frame;
  }

  /** Nothing is taken for too long. */
  expire(): void {
    const taken = this.#taken();
    if (taken - this.#takenBefore < leastBytes) return this.#owner.stalled();
    this.#wait(taken);
  }

  #take(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.#shut) return;
    const { to } = this;
    const frames = this.#frames;
    const passing = frames.take(chunk);
    this.#owner.heard();
    if (passing.length > 0 && to.writable && !to.write(passing)) {
      this.from.pause();
      if (this.row === undefined) this.#wait(this.#taken());
    }
    if (frames.fault !== undefined) this.#owner.faulty(frames.fault);
    else if (frames.ended) {
      if (this.#last !== undefined) this.#finish(this.#last);
      else this.#owner.closePassed();
    }
  }

  #end(): void {
    this.over = true;
    if (!this.#shut) {
      const held = this.#frames.rest();
      if (held !== undefined && this.to.writable) this.to.write(held);
    }
    this.#owner.ended(this);
    this.to.end();
  }

  #finish(last: Buffer | undefined): void {
    this.#shut = true;
    // What still comes must be read, or the end of it would not be seen.
    this.from.resume();
    if (!this.to.writable) return;
    if (last === undefined) this.to.end();
    else this.to.end(last);
  }

  #drained(): void {
    this.#options.deadlines.stop(this);
    this.from.resume();
  }

  #wait(taken: number): void {
    this.#takenBefore = taken;
    this.#options.deadlines.start(this, this.#options.writeTimeoutMs);
  }

  /** Bytes that the system has taken. */
  #taken(): number {
    const { to } = this;
    return to.bytesWritten - to.writableLength - queueOf(to);
  }
}
