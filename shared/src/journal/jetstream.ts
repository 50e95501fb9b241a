/**
 * The few calls of the JetStream API that a journal needs, as requests on the bus.
 */
import type { Headers } from "../bus/bus.ts";
import type { NatsBus } from "../bus/nats.ts";
import type { Milliseconds } from "../time.ts";

export interface CallOptions {
  readonly timeoutMs: Milliseconds;
  readonly headers?: Headers;
  readonly signal?: AbortSignal;
}

/** The server's own "no", with its code. */
export class JetStreamError extends Error {
  override readonly name = "JetStreamError";
  /** As in HTTP: 503 may pass, 400 will not. */
  readonly code: number;
  /** Which error exactly; {@link jetStreamErrors}. */
  readonly errorCode: number;
  constructor(error: { code?: number; err_code?: number; description?: string }) {
    super(error.description ?? "unknown JetStream error");
    this.code = error.code ?? 500;
    this.errorCode = error.err_code ?? 0;
  }
}

/** From the server's table of errors (server/errors.json of nats-server). */
export const jetStreamErrors = {
  noMessageFound: 10037,
  notEnabledForAccount: 10039,
  streamNameInUse: 10058,
  streamNotFound: 10059,
  wrongLastSequence: 10071,
  notEnabled: 10076,
} as const;

export function isJetStreamError(error: unknown, ...names: (keyof typeof jetStreamErrors)[]) {
  return (
    error instanceof JetStreamError &&
    names.some((name) => jetStreamErrors[name] === error.errorCode)
  );
}

/**
 * Asks, and reads the JSON answer.
 *
 * @throws JetStreamError when the server says no; BusUnavailable when it says nothing
 */
export async function call<Answer>(
  bus: NatsBus,
  subject: string,
  body: string | object,
  options: CallOptions,
): Promise<Answer> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const message = await bus.request(subject, text, options);
  const answer = JSON.parse(message.text()) as {
    error?: ConstructorParameters<typeof JetStreamError>[0];
  };
  if (answer.error !== undefined) throw new JetStreamError(answer.error);
  return answer as Answer;
}
