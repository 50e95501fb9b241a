/** Anything else in a value could end the line, or be cut to a byte that does. */
const unsafe = /[^\t\x20-\x7e\x80-\xff]/;

/** A request that would say something else on the wire than it is meant to. A mistake of ours: what clients send was checked before. */
export class UnsafeRequest extends Error {
  override readonly name = "UnsafeRequest";
}

/**
 * Request line and fields as they go on the wire (RFC 9112 §3, §5), one character a byte.
 *
 * @param host the `Host` value: authority of the instance
 * @param headers names and values in turn
 * @param framing a last field with its line end, or nothing
 * @throws UnsafeRequest
 */
export function requestText(
  method: string,
  target: string,
  host: string,
  headers: readonly string[],
  framing: string,
): string {
  if (unsafe.test(target) || target.includes(" ")) throw new UnsafeRequest("a bad request target");
  let text = `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n`;
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const value = headers[index + 1]!;
    if (unsafe.test(value)) throw new UnsafeRequest(`a bad value of ${headers[index]}`);
    text += `${headers[index]}: ${value}\r\n`;
  }
  return `${text}${framing}\r\n`;
}
