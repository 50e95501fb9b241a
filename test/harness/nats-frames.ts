/**
 * Cuts what a NATS server says into frames, so that one message can be taken out of the stream, said twice or moved, and nothing else.
 */

export interface NatsFrame {
  readonly subject: string;
  /** Headers (when there are any) and payload, as text. */
  readonly text: string;
}

/** What goes out in the place of a message: nothing, the message itself, several. */
export type FrameEdit = (frame: NatsFrame, bytes: Buffer) => readonly Buffer[];

/**
 * A stream filter: takes bytes as they come, gives back whole frames, messages as the edit leaves them.
 * Frames are lines (`INFO {…}`, `PING`, `-ERR …`), and `MSG`/`HMSG` lines with so many bytes of payload as their last number says.
 */
export function natsFrames(edit: FrameEdit): (chunk: Buffer) => Buffer {
  let pending: Buffer = Buffer.alloc(0);
  return (chunk) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    const passing: Buffer[] = [];
    let at = 0;
    for (;;) {
      const eol = pending.indexOf("\r\n", at);
      if (eol === -1) break;
      const fields = pending.toString("latin1", at, eol).split(" ");
      const isMessage = fields[0] === "MSG" || fields[0] === "HMSG";
      const end = eol + 2 + (isMessage ? Number(fields.at(-1)) + 2 : 0);
      if (end > pending.length) break;
      const bytes = pending.subarray(at, end);
      if (isMessage) {
        const text = pending.toString("utf8", eol + 2, end - 2);
        passing.push(...edit({ subject: fields[1]!, text }, bytes));
      } else passing.push(bytes);
      at = end;
    }
    pending = Buffer.from(pending.subarray(at));
    return passing.length === 1 ? passing[0]! : Buffer.concat(passing);
  };
}
