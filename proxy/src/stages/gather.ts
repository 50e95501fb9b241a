import type { Readable } from "node:stream";
import { Aborted, Refusal } from "@tocsin/shared";

/**
 * Reads a body to its end.
 *
 * @param maxBytes more is not read
 * @throws Refusal body-too-large; Aborted when it is cut off; whatever else it breaks with
 */
export function gather(body: Readable, maxBytes: number): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const pieces: Buffer[] = [];
  let bytes = 0;
  const onData = (piece: Buffer) => {
    bytes += piece.length;
    if (bytes <= maxBytes) {
      pieces.push(piece);
      return;
    }
    body.off("data", onData);
    body.pause();
    reject(tooLarge(maxBytes));
  };
  body.on("data", onData);
  body.on("end", () => resolve(Buffer.concat(pieces, bytes)));
  body.on("error", reject);
  // After an end or an error this says nothing new.
  body.on("close", () => reject(new Aborted("client-gone")));
  return promise;
}

export function tooLarge(maxBytes: number): Refusal {
  return new Refusal("body-too-large", {
    detail: `the route depends on the body, which may then have ${maxBytes} bytes`,
  });
}
