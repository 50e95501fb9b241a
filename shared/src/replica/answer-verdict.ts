import type { Head } from "../journal/journal.ts";
import type { Asked } from "./asker.ts";
import type { Standing } from "./horizon.ts";
import type { WholeAnswer } from "./source.ts";

/** `overtaken`: the feed was faster than this snapshot; it has to wait for another one, or they never meet. */
export type AnswerVerdict = "delta" | "snapshot" | "overtaken" | "useless";

/**
 * What an answer is good for. Whoever answers may lag, or live in another past.
 *
 * @param held how far what is held goes now; when the question was asked it may have been less
 * @param beacon the last beacon, if it is fresh
 * @param rewound whether the journal is known to have gone back within its epoch, so that less than what is held may be right
 */
export function judgeAnswer(
  answer: WholeAnswer,
  { kind, question }: Pick<Asked, "kind" | "question">,
  held: Standing,
  beacon: Head | undefined,
  rewound: boolean,
): AnswerVerdict {
  // A fresh beacon knows better which epoch it is, and how far the journal was when we asked.
  if (beacon !== undefined) {
    if (answer.epoch !== beacon.epoch) return "useless";
    if (answer.to < Math.min(beacon.head, question.atLeast)) return "useless";
  }
  const same = answer.epoch === held.epoch;
  if (answer.mode === "delta") {
    if (kind === "full" || !same) return "useless";
    return answer.to < question.applied ? "useless" : "delta";
  }
  if (!same || answer.to >= held.applied || rewound) return "snapshot";
  return answer.to >= question.applied ? "overtaken" : "useless";
}
