/** What is measured: a program that answers {@link body} at a URL, started for the benchmark. */
import type { Placement } from "./placement.ts";

export interface Surroundings {
  readonly placement: Placement;
  /** URL of the upstream that everybody forwards to. */
  readonly upstream: string;
  /** A directory of the contender's own, removed at the end. */
  readonly directory: string;
}

export interface Contender {
  readonly name: string;
  /** What it does for each request, for the table. */
  readonly title: string;
  /** Measured only when it is named. */
  readonly onRequest?: true;
  readonly start: (surroundings: Surroundings) => Promise<Started>;
}

export interface Started extends AsyncDisposable {
  /** The process that is measured, with all its children. */
  readonly pid: number;
  /** Scheme, host and port. */
  readonly url: string;
  /** A file with one bearer token a line; each request carries the next one. */
  readonly tokenFile?: string;
  /** Its access log. Emptied before each run; afterwards it must have a line for each request. */
  readonly accessLog?: string;
  /** Proves that it does what the title says. @throws Error when it does not */
  readonly prove?: () => Promise<void>;
  /** Requests that its metrics have counted so far; afterwards each request must be among them. */
  readonly counted?: () => Promise<number>;
}
