/** What may happen to a journal, to what it says, and to what is asked of it. */
import fc from "fast-check";
import type { Milliseconds } from "../../time.ts";
import type { AnswerForm } from "./model-journal.ts";

/** What may happen to a message on its way. */
export type Fate = "arrives" | "lost" | "twice" | "late";

export type Step =
  | {
      readonly do: "append";
      readonly key: number;
      readonly poison: boolean;
      readonly order: boolean;
      readonly fate: Fate;
    }
  | { readonly do: "beacon"; readonly fate: Fate }
  | { readonly do: "pass"; readonly ms: Milliseconds }
  /** The connection came back. */
  | { readonly do: "comeBack" }
  /** The stream was deleted and made anew. */
  | { readonly do: "recreate" }
  /** The store was restored from an older copy, and the control plane has seen it. */
  | { readonly do: "renew"; readonly by: number; readonly fate: Fate }
  /** A leader who was deposed still says where the journal stood. */
  | { readonly do: "deposed"; readonly by: number }
  /** From now on nobody answers, or one who learns nothing new any more, or one who is up to date. */
  | { readonly do: "answerer"; readonly is: "mute" | "frozen" | "good" }
  /** The next dump cannot be read. */
  | { readonly do: "spoil" };

export interface Circumstances {
  readonly form: AnswerForm;
  /** How many entries may wait. */
  readonly backlog: number;
  /** How far the journal goes back at the end, without anybody saying so. */
  readonly rewindAtEnd: number;
  readonly seed: number;
}

const fate = fc.constantFrom<Fate>("arrives", "arrives", "arrives", "lost", "twice", "late");

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant("append" as const),
      key: fc.integer({ min: 0, max: 4 }),
      poison: fc.integer({ min: 0, max: 11 }).map((one) => one === 0),
      order: fc.boolean(),
      fate,
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("beacon" as const), fate }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("pass" as const),
      ms: fc.constantFrom(1, 20, 60, 400, 1_200, 3_500),
    }),
  },
  { weight: 1, arbitrary: fc.constantFrom<Step>({ do: "comeBack" }, { do: "spoil" }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("answerer" as const),
      is: fc.constantFrom("mute" as const, "frozen" as const, "good" as const, "good" as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.oneof(
      fc.constant<Step>({ do: "recreate" }),
      fc.record({
        do: fc.constant("renew" as const),
        by: fc.integer({ min: 0, max: 4 }),
        fate,
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("deposed" as const),
      by: fc.integer({ min: 0, max: 3 }),
    }),
  },
);

export const history: fc.Arbitrary<{ readonly steps: Step[] } & Circumstances> = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 60, size: "max" }),
  form: fc.constantFrom<AnswerForm>("entries", "entries", "snapshot", "dump"),
  backlog: fc.constantFrom(4, 50_000),
  rewindAtEnd: fc.integer({ min: -3, max: 3 }).map((by) => Math.max(0, by)),
  seed: fc.integer({ min: 1, max: 1_000_000 }),
});
