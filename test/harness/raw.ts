/** Requests as bytes, and the answers as they come, on one connection. */
import { connect } from "node:net";

export interface RawAnswer {
  readonly status: number;
  /** Names in lower case and values, in order. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** What stands behind the head, framing and all. */
  readonly body: string;
  /** Of the problem document in the body, if there is one. */
  readonly problem: Readonly<Record<string, unknown>> | undefined;
  field(name: string): string | undefined;
}

/**
 * Sends bytes and gives the answers that come until the gateway closes.
 *
 * @throws Error when it does not within 8 seconds
 */
export function converse(url: string, text: string): Promise<RawAnswer[]> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let received = "";
    const socket = connect(Number(port), hostname, () => socket.write(text, "latin1"));
    socket.setTimeout(8_000, () => {
      socket.destroy();
      reject(new Error(`the connection stayed open; received ${JSON.stringify(received)}`));
    });
    socket.setEncoding("latin1").on("data", (bytes: string) => (received += bytes));
    socket.on("error", () => {});
    socket.on("close", () => resolve(received.split(/(?=HTTP\/1\.1 \d{3} )/).map(answerOf)));
  });
}

function answerOf(text: string): RawAnswer {
  const end = text.indexOf("\r\n\r\n");
  const [line = "", ...lines] = text.slice(0, end).split("\r\n");
  const body = text.slice(end + 4);
  const fields = lines.map((field) => {
    const colon = field.indexOf(":");
    return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()] as const;
  });
  const field = (name: string) => {
    const values = fields.filter(([found]) => found === name).map(([, value]) => value);
    if (values.length > 1) throw new Error(`${name} is there ${values.length} times`);
    return values[0];
  };
  return {
    status: Number(line.slice(9, 12)),
    fields,
    body,
    problem: body.startsWith("{") ? (JSON.parse(body) as Record<string, unknown>) : undefined,
    field,
  };
}
