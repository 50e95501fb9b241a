/**
 * JSON objects that mean one thing only.
 *
 * Two parsers may disagree on which of two members with the same name counts, and the one who signs may not be the one who reads.
 * RFC 7515 §4 and RFC 7519 §4 let a reader refuse such objects; this one does.
 */

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @returns the object; undefined when the bytes are not UTF-8, not JSON, not an object, or name a member twice */
export function readObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  let text: string;
  let value: unknown;
  try {
    text = strict.decode(bytes);
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(value) || repeatsMember(text)) return undefined;
  return value;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether an object anywhere in a valid JSON text has two members of one name, however they are spelled. */
function repeatsMember(text: string): boolean {
  // One set per open object, undefined per open array.
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charAt(at)) {
      case "{":
        open.push(new Set());
        break;
      case "[":
        open.push(undefined);
        break;
      case "}":
      case "]":
        open.pop();
        break;
      case '"': {
        const end = endOfString(text, at);
        const names = open.at(-1);
        if (names !== undefined && isName(text, end)) {
          // `"\u0061lg"` is `"alg"`.
          const name = JSON.parse(text.slice(at, end + 1)) as string;
          if (names.has(name)) return true;
          names.add(name);
        }
        at = end;
        break;
      }
      default:
    }
  }
  return false;
}

function endOfString(text: string, start: number): number {
  let end = start + 1;
  while (text[end] !== '"') end += text[end] === "\\" ? 2 : 1;
  return end;
}

/** In an object a string before a colon is a name. */
function isName(text: string, end: number): boolean {
  let after = end + 1;
  while (/\s/.test(text[after] ?? "")) after += 1;
  return text[after] === ":";
}
