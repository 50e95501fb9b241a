/** Upper bounds in seconds, from 0.5 ms. */
export const bucketBounds = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
] as const;

/**
 * A histogram of one set of labels. Recording is an addition to an array: no label is looked at, no text is built.
 */
export class Histogram {
  /** Observations per bucket, the last one for those beyond all bounds. Not cumulative. */
  readonly counts = new Float64Array(bucketBounds.length + 1);
  sumSeconds = 0;

  observe(seconds: number): void {
    let index = 0;
    while (index < bucketBounds.length && seconds > bucketBounds[index]!) index += 1;
    this.counts[index]! += 1;
    this.sumSeconds += seconds;
  }

  get count(): number {
    let count = 0;
    for (const bucket of this.counts) count += bucket;
    return count;
  }
}

export type Labels = Readonly<Record<string, string>>;

/** What is counted for one route, method and status. */
export class ExchangeSeries {
  readonly labels: Labels;
  readonly duration = new Histogram();

  constructor(labels: Labels) {
    this.labels = labels;
  }
}

/** What is counted for one route. */
export class RouteSeries {
  readonly labels: Labels;
  readonly overhead = new Histogram();
  readonly upstream = new Histogram();
  readonly exchanges = new Map<number, ExchangeSeries>();

  constructor(labels: Labels) {
    this.labels = labels;
  }
}
