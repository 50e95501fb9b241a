import { describe, expect, test } from "vitest";
import { judgeAnswer, type AnswerVerdict } from "./answer-verdict.ts";
import type { SyncKind } from "./asker.ts";
import type { WholeAnswer } from "./source.ts";

const delta = (to: number, epoch = "e1"): WholeAnswer => ({
  mode: "delta",
  epoch,
  to,
  entries: [],
});
const snapshot = (to: number, epoch = "e1"): WholeAnswer => ({
  mode: "snapshot",
  epoch,
  to,
  entries: [],
});
const held = { epoch: "e1", applied: 8 };
/** Asked at 5, when a head of 6 was known. */
function judge(
  kind: SyncKind,
  answer: WholeAnswer,
  { beacon, rewound = false }: { beacon?: readonly [string, number]; rewound?: boolean } = {},
): AnswerVerdict {
  const question =
    kind === "delta"
      ? { epoch: "e1", applied: 5, atLeast: 6 }
      : { epoch: undefined, applied: 0, atLeast: 6 };
  const fresh = beacon === undefined ? undefined : { epoch: beacon[0], head: beacon[1] };
  return judgeAnswer(answer, { kind, question }, held, fresh, rewound);
}

describe("a delta", () => {
  test.each<readonly [string, WholeAnswer, AnswerVerdict]>([
    ["that is newer than what is held is taken", delta(9), "delta"],
    [
      "that the feed has overtaken is taken: what it brings beside that is missing",
      delta(6),
      "delta",
    ],
    [
      "that ends before what was held when it was asked for is of one who lags",
      delta(4),
      "useless",
    ],
    ["of another epoch cannot be built upon what is held", delta(9, "e2"), "useless"],
  ])("%s", (_what, answer, verdict) => expect(judge("delta", answer)).toBe(verdict));

  test("does not do where everything was asked for", () => {
    expect(judge("full", delta(9))).toBe("useless");
  });
});

describe("a snapshot", () => {
  test.each<readonly [string, WholeAnswer, AnswerVerdict]>([
    ["as new as what is held takes its place", snapshot(8), "snapshot"],
    ["of another epoch takes its place, whatever the numbers", snapshot(1, "e2"), "snapshot"],
    ["that the feed has overtaken would take back what is held", snapshot(7), "overtaken"],
    ["that was too old when it was asked for is of one who lags", snapshot(4), "useless"],
  ])("%s", (_what, answer, verdict) => expect(judge("delta", answer)).toBe(verdict));

  test("older than what is held is taken where the journal is known to have gone back", () => {
    expect(judge("full", snapshot(2))).not.toBe("snapshot");
    expect(judge("full", snapshot(2), { rewound: true })).toBe("snapshot");
  });
});

describe("a fresh beacon", () => {
  test("knows better which epoch it is", () => {
    expect(judge("full", snapshot(9), { beacon: ["e2", 3] })).toBe("useless");
    expect(judge("delta", delta(9), { beacon: ["e2", 3] })).toBe("useless");
    expect(judge("full", snapshot(3, "e2"), { beacon: ["e2", 3] })).toBe("snapshot");
  });

  test("knows better how far the journal was, as of when it was asked; what was recorded since is no reason to ask again", () => {
    expect(judge("full", snapshot(5, "e2"), { beacon: ["e2", 7] })).toBe("useless");
    expect(judge("full", snapshot(6, "e2"), { beacon: ["e2", 7] })).toBe("snapshot");
    expect(judge("delta", delta(5), { beacon: ["e1", 9] })).toBe("useless");
    expect(judge("delta", delta(6), { beacon: ["e1", 9] })).toBe("delta");
  });
});
