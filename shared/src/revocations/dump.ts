import { DumpWriter } from "./dump-format.ts";
import { segmentCount } from "./fingerprint-set.ts";
import type { Generations } from "./generations.ts";
import type { DumpedMark, Marks } from "./marks.ts";

const marksPerBlock = 4_096;

/** A whole set as it is written down, in parts, of which each is made when it is asked for. */
export function* dumpedParts(generations: Generations, marks: Marks): Generator<Uint8Array> {
  const writer = new DumpWriter();
  yield writer.begin();
  for (const generation of generations) {
    yield writer.key(generation.keyAsBytes);
    const { tokens } = generation;
    for (let segment = 0; segment < segmentCount; segment += 1) {
      const count = tokens.countIn(segment);
      if (count > 0) yield writer.tokens(count, (entries) => tokens.copy(segment, entries));
    }
  }
  let block: DumpedMark[] = [];
  for (const mark of marks.dump()) {
    block.push(mark);
    if (block.length < marksPerBlock) continue;
    yield writer.users(block);
    block = [];
  }
  if (block.length > 0) yield writer.users(block);
  yield writer.end();
}
