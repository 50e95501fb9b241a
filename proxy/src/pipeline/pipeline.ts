import type { Reply } from "./reply.ts";

/** What comes after a stage. */
export type Next<In> = (exchange: In) => Promise<Reply>;

/**
 * One step on the way of an exchange. It may answer, or establish something and hand over to what comes next.
 *
 * `In` is what must be known before it, `Out` what is known after it: stages in a wrong order do not compile.
 */
export type Stage<In, Out extends In = In> = (exchange: In, next: Next<Out>) => Promise<Reply>;

/** Stages in order; put together once, then run for every exchange. */
export class Pipeline<Start, Now extends Start> {
  readonly #close: (end: Next<Now>) => Next<Start>;

  private constructor(close: (end: Next<Now>) => Next<Start>) {
    this.#close = close;
  }

  static from<Start>(): Pipeline<Start, Start> {
    return new Pipeline((end: Next<Start>) => end);
  }

  through<Out extends Now>(stage: Stage<Now, Out>): Pipeline<Start, Out> {
    return new Pipeline((end: Next<Out>) => this.#close((exchange) => stage(exchange, end)));
  }

  into(end: Next<Now>): Next<Start> {
    return this.#close(end);
  }
}
