import { Aborted } from "@tocsin/shared";
import type { Principal } from "../identity/principal.ts";
import type { ByteSource } from "../pipeline/reply.ts";
import type { Stream, StreamEnd, Streams } from "../streams/streams.ts";
import type { ExchangeResponse } from "./response.ts";
import { noteEnd } from "./stream-end.ts";

/**
 * A reply of events (HTML, server-sent events) that is still going on.
 *
 * Ended from outside, its body ends properly: clients then connect anew with `Last-Event-ID`. An event that has not come as a whole is
 * dropped by them.
 */
export class EventStream implements Stream {
  readonly kind = "event-stream";
  readonly requestId: string;
  readonly principal: Principal | undefined;
  readonly clientAddress: string;
  readonly route: string;
  readonly service: string;
  readonly instance: string | undefined;
  readonly #response: ExchangeResponse;
  readonly #source: ByteSource;
  readonly #finish: () => void;
  #end: StreamEnd | undefined = undefined;

  /** @param finish ends the body */
  constructor(response: ExchangeResponse, source: ByteSource, finish: () => void) {
    const exchange = response.exchange!;
    this.requestId = exchange.id;
    this.principal = exchange.principal;
    this.clientAddress = exchange.clientAddress;
    this.route = exchange.route?.id ?? "";
    this.service = exchange.service;
    this.instance = exchange.instance;
    this.#response = response;
    this.#source = source;
    this.#finish = finish;
  }

  /** It counts as open until the response is over. */
  open(streams: Streams): void {
    const response = this.#response;
    response.stream = this;
    // In front of the listener's own, which writes the access line.
    response.prependListener("close", () => {
      const { code } = response.exchange!;
      const failed = code === "upstream-failed" ? "upstream-gone" : "client-gone";
      const end = this.#end ?? (response.writableFinished ? "closed" : failed);
      noteEnd(response.exchange!, end);
      streams.ended(this, end);
    });
    streams.opened(this);
  }

  close(_code: number, reason: StreamEnd): void {
    if (this.#end !== undefined || this.#response.writableEnded) return;
    this.#end = reason;
    this.#source.abort(new Aborted("shutdown"));
    this.#finish();
  }
}

/**
 * What the fields of a reply say about the length of its body: events have no end of their own. With a length, an end before it would
 * be no proper one, whatever they are.
 */
export function lengthOf(headers: readonly string[]): "known" | "unknown" | "endless" {
  let length: "unknown" | "endless" = "unknown";
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index]!;
    if (name.length === 14 && name.toLowerCase() === "content-length") return "known";
    if (name.length === 12 && name.toLowerCase() === "content-type")
      length = /^text\/event-stream\s*(?:;|$)/i.test(headers[index + 1]!) ? "endless" : "unknown";
  }
  return length;
}
