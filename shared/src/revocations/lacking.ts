/** What one holds and another lacks, as entries of the journal. */
import { protocolVersion } from "../contract/messages.ts";
import type { FingerprintsEntry } from "../contract/entries.ts";
import { segmentCount, wordsPerToken } from "./fingerprint-set.ts";
import type { Generation } from "./generation.ts";
import type { Generations } from "./generations.ts";
import type { DumpedMark, Marks } from "./marks.ts";

/** What is compared. */
export interface Held {
  readonly generations: Generations;
  readonly marks: Marks;
}

/** 12 bytes each, 16 characters in Base64: 384,000 characters. */
const tokensPerEntry = 24_000;
const marksPerEntry = 1_000;
/** Of the marks of one entry, in bytes of JSON. */
const marksLength = 380_000;

/**
 * What one holds and the other lacks, or would forget earlier, but for what expired before `forgetBefore` (Unix seconds). Yields undefined
 * now and then, where others may have their turn.
 */
export function* lackingOf(
  held: Held,
  other: Held,
  forgetBefore: number,
): Generator<FingerprintsEntry | undefined> {
  for (const generation of held.generations) {
    if (generation.tokens.size === 0) continue;
    yield* lackingTokens(generation, other.generations.find(generation.keyAsBytes), forgetBefore);
  }
  yield* lackingMarks(held.marks, other.marks, held.generations.primary, forgetBefore);
}

/**
 * Tokens of `held` that live and are not in `other`, or would be forgotten there earlier. Yields undefined now and then, where others
 * may have their turn.
 *
 * @param other undefined: nothing under that key is there
 * @param forgetBefore Unix seconds
 */
function* lackingTokens(
  held: Generation,
  other: Generation | undefined,
  forgetBefore: number,
): Generator<FingerprintsEntry | undefined> {
  const found = new Uint32Array(tokensPerEntry * wordsPerToken);
  let end = 0;
  const entry = () =>
    fingerprints(held, Buffer.from(found.buffer, 0, end * 4).toString("base64"), []);
  for (let segment = 0; segment < segmentCount; segment += 1) {
    const entries = held.tokens.entriesIn(segment);
    for (let at = 0; at < entries.length; at += wordsPerToken) {
      const high = entries[at]!;
      const low = entries[at + 1]!;
      const expiry = entries[at + 2]!;
      if (expiry < forgetBefore) continue;
      if (other !== undefined && other.tokens.expiryOf(high, low) >= expiry) continue;
      found[end] = high;
      found[end + 1] = low;
      found[end + 2] = expiry;
      end += wordsPerToken;
      if (end < found.length) continue;
      yield entry();
      end = 0;
    }
    yield undefined;
  }
  if (end > 0) yield entry();
}

/** Marks that live and are not in `other`, or would be forgotten there earlier. They stand under the primary key, and need none. */
function* lackingMarks(
  held: Marks,
  other: Marks,
  primary: Generation,
  forgetBefore: number,
): Generator<FingerprintsEntry> {
  let marks: DumpedMark[] = [];
  let length = 0;
  for (const mark of held.dump()) {
    if (mark[3] < forgetBefore || other.includes(mark)) continue;
    const more = Buffer.byteLength(JSON.stringify(mark)) + 1;
    if (marks.length === marksPerEntry || length + more > marksLength) {
      yield fingerprints(primary, "", marks);
      marks = [];
      length = 0;
    }
    marks.push(mark);
    length += more;
  }
  if (marks.length > 0) yield fingerprints(primary, "", marks);
}

function fingerprints(
  { keyAsBytes }: Generation,
  tokens: string,
  marks: readonly DumpedMark[],
): FingerprintsEntry {
  return {
    v: protocolVersion,
    kind: "fingerprints",
    key: Buffer.from(keyAsBytes).toString("base64url"),
    tokens,
    users: marks.map((mark) => [...mark]),
  };
}
