/** How a proxy says what it holds: a head, then pieces, each under a header that keeps them apart from those of other answers. */
import type { Bus, Message } from "../bus/bus.ts";
import { subjects } from "../bus/subjects.ts";
import { protocolVersion, type HeldHead } from "../contract/messages.ts";
import type { Epoch, OperationId, Sequence } from "../journal/journal.ts";
import type { NodeName } from "../names.ts";
import { chunkCount, chunksOf, sha256 } from "../replica/chunks.ts";

/** Journals that a proxy could give back. Verdicts are found anew. */
export type HeldJournal = HeldHead["journal"];

/** What a proxy holds of a journal. */
export interface Holding {
  readonly proxy: NodeName;
  readonly journal: HeldJournal;
  readonly epoch: Epoch;
  readonly applied: Sequence;
  /** Revocations: a dump of the set. Catalogue: `[sequence, key, body][]` in JSON. */
  readonly bytes: Uint8Array;
}

/** `<id>/<journal>/<index>` */
const chunkHeader = "Tocsin-Held";

/** Pieces that may be on their way to the server at once. */
const ahead = 2;

/**
 * Sends what a proxy holds. What it is made of must not change meanwhile.
 *
 * @param id of the request
 * @param holding an epoch of undefined says that there is nothing
 * @throws BusUnavailable when the bus goes away before all of it was sent
 */
export async function sendHolding(
  bus: Pick<Bus, "publish" | "flush">,
  id: OperationId,
  holding: Omit<Holding, "epoch"> & { readonly epoch: Epoch | undefined },
): Promise<void> {
  const { proxy, journal, epoch, applied, bytes } = holding;
  const to = subjects.held(proxy);
  const head: HeldHead = {
    v: protocolVersion,
    id,
    journal,
    ...(epoch === undefined ? {} : { epoch }),
    applied,
    chunks: chunkCount(bytes),
    bytes: bytes.byteLength,
    sha256: await sha256(bytes),
  };
  bus.publish(to, JSON.stringify(head));
  let index = 0;
  for (const chunk of chunksOf(bytes)) {
    bus.publish(to, chunk, { [chunkHeader]: `${id}/${journal}/${index}` });
    index += 1;
    if (index % ahead === 0) await bus.flush();
  }
  await bus.flush();
}

/** Which piece a message is; undefined when it is none. */
export function pieceOf(
  message: Message,
): { readonly id: string; readonly journal: string; readonly index: number } | undefined {
  const [id, journal, index, ...rest] = message.header(chunkHeader)?.split("/") ?? [];
  if (id === undefined || journal === undefined || index === undefined || rest.length > 0)
    return undefined;
  return { id, journal, index: Number(index) };
}
