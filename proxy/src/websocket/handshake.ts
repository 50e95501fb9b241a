import { createHash } from "node:crypto";
import { Refusal } from "@tocsin/shared";

/** The only version that there is (RFC 6455 §4.1). */
const version = "13";
/** 16 bytes in base64 (RFC 6455 §4.1); the last character holds two bits. */
const keyPattern = /^[A-Za-z0-9+/]{21}[AQgw]==$/;
/** Joined to the key, so that nobody answers by accident (RFC 6455 §1.3). */
const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** An answer of 101, as far as the handshake is about it. */
export interface SwitchingAnswer {
  /** The options of `Connection`, repeats joined. */
  readonly connection: string | undefined;
  readonly upgrade: string | undefined;
  /** End-to-end fields: names and values in turn. */
  readonly passing: readonly string[];
}

/**
 * The opening handshake of a client (RFC 6455 §4). It goes end to end: the service gets the client's key, and its answer must fit what
 * the client asked for.
 */
export class Handshake {
  /** What is wrong with it. Thrown where it is known that the route takes WebSockets: elsewhere the request is a plain one. */
  readonly fault: Refusal | undefined;
  readonly #key: string;
  /** Sub-protocols that the client offers. */
  readonly #protocols: readonly string[];
  /** Names of the extensions that it offers. */
  readonly #extensions: readonly string[];
  #extended = false;

  /** @param passing the fields of the request that may go on, names and values in turn */
  constructor(passing: readonly string[]) {
    const key = valuesOf(passing, "sec-websocket-key");
    const versions = valuesOf(passing, "sec-websocket-version");
    this.#key = key[0] ?? "";
    this.#protocols = listOf(passing, "sec-websocket-protocol");
    this.#extensions = listOf(passing, "sec-websocket-extensions").map(extensionName);
    if (versions.length !== 1 || versions[0] !== version)
      this.fault = new Refusal("upgrade-required");
    else if (key.length !== 1 || !keyPattern.test(this.#key))
      this.fault = new Refusal("bad-request", { detail: "a bad Sec-WebSocket-Key field" });
  }

  /** An extension was agreed on. Known when an answer was {@link accepts accepted}. */
  get extended(): boolean {
    return this.#extended;
  }

  /** Whether the answer of a service opens the WebSocket that was asked for (RFC 6455 §4.1). @returns what is wrong with it */
  accepts({ connection, upgrade, passing }: SwitchingAnswer): string | undefined {
    if (upgrade?.trim().toLowerCase() !== "websocket") return "a 101 to another protocol";
    if (!itemsOf(connection ?? "").some((option) => option.toLowerCase() === "upgrade"))
      return "a 101 without Connection: Upgrade";
    const accepted = valuesOf(passing, "sec-websocket-accept");
    if (accepted.length !== 1 || accepted[0] !== acceptOf(this.#key))
      return "a bad Sec-WebSocket-Accept field";
    const protocols = valuesOf(passing, "sec-websocket-protocol");
    if (protocols.length > 1 || !protocols.every((name) => this.#protocols.includes(name)))
      return "a sub-protocol that was not offered";
    const extensions = listOf(passing, "sec-websocket-extensions").map(extensionName);
    if (!extensions.every((name) => this.#extensions.includes(name)))
      return "an extension that was not offered";
    this.#extended = extensions.length > 0;
    return undefined;
  }
}

/** `Sec-WebSocket-Accept` for a key (RFC 6455 §4.2.2). */
export function acceptOf(key: string): string {
  return createHash("sha1")
    .update(key + guid)
    .digest("base64");
}

/** Whether a list of protocols names WebSocket; the name is compared without case (RFC 6455 §4.2.1). */
export function namesWebSocket(upgrade: string): boolean {
  return itemsOf(upgrade).some((name) => name.toLowerCase() === "websocket");
}

function valuesOf(fields: readonly string[], wanted: string): string[] {
  const values: string[] = [];
  for (let index = 0; index + 1 < fields.length; index += 2)
    if (fields[index]!.toLowerCase() === wanted) values.push(fields[index + 1]!.trim());
  return values;
}

function listOf(fields: readonly string[], wanted: string): string[] {
  return valuesOf(fields, wanted).flatMap(itemsOf);
}

/** Elements of a list; empty ones do not count (RFC 9110 §5.6.1). */
function itemsOf(list: string): string[] {
  return list.split(",").flatMap((item) => item.trim() || []);
}

/** `permessage-deflate; client_max_window_bits` (RFC 6455 §9.1). A parameter's value is a token, so no comma stands in one. */
function extensionName(element: string): string {
  return element.split(";", 1)[0]!.trim();
}
