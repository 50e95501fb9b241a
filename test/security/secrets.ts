/** What must never be seen, in every spelling in which it might be, and where it may stand all the same. */

interface Held {
  readonly name: string;
  /** It is there when one of these is. */
  readonly pieces: readonly string[];
  readonly home: RegExp | undefined;
}

/** A part of a secret that is as long as this is enough to find it, in characters. */
const pieceLength = 16;
/** Parts begin at every so many characters. */
const stride = 4;

export class Secrets {
  readonly #held: Held[] = [];

  /** @param home places where it may stand. Absent: there is none */
  add(name: string, text: string, home?: RegExp): string {
    const pieces = new Set(spellings(text).flatMap(piecesOf));
    this.#held.push({ name, pieces: [...pieces], home });
    return text;
  }

  /** A signed token: its signature, and what it says in its spelling. What the header says everybody knows. */
  addToken(name: string, token: string): string {
    const [, claims = "", signature = ""] = token.split(".");
    if (claims !== "") this.add(`the claims of ${name}`, claims);
    if (signature !== "") this.add(`the signature of ${name}`, signature);
    return token;
  }

  /** An API key: what stands behind its id. */
  addKey(name: string, key: string): string {
    this.add(name, key.split("_").slice(2).join("_"));
    return key;
  }

  /** @returns a line for each that stands in there, with what is around it */
  seenIn(place: string, content: string | Uint8Array): string[] {
    const text = typeof content === "string" ? content : Buffer.from(content).toString("latin1");
    return this.#held.flatMap(({ name, pieces, home }) => {
      if (home?.test(place) === true) return [];
      const piece = pieces.find((each) => text.includes(each));
      if (piece === undefined) return [];
      const at = text.indexOf(piece);
      return [`${name} in ${place}: ${JSON.stringify(text.slice(Math.max(0, at - 150), at + 60))}`];
    });
  }
}

function spellings(text: string): string[] {
  const bytes = Buffer.from(text);
  const base64 = [0, 1, 2].flatMap((before) => {
    // Behind other bytes, of which there may be any number, and before others.
    const whole = Buffer.concat([Buffer.alloc(before), bytes]).toString("base64url");
    const own = whole.slice(
      Math.ceil((before * 8) / 6),
      Math.floor(((before + bytes.length) * 8) / 6),
    );
    return [own, own.replaceAll("-", "+").replaceAll("_", "/")];
  });
  return [
    text,
    JSON.stringify(text).slice(1, -1),
    encodeURIComponent(text),
    bytes.toString("hex"),
    bytes.toString("hex").toUpperCase(),
    ...base64,
  ];
}

function piecesOf(spelling: string): string[] {
  if (spelling.length <= pieceLength) return [spelling];
  const pieces = [spelling.slice(-pieceLength)];
  for (let at = 0; at + pieceLength < spelling.length; at += stride)
    pieces.push(spelling.slice(at, at + pieceLength));
  return pieces;
}
