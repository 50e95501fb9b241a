/**
 * What is started is disposable, and scopes end it.
 */

/** Wraps a clean-up so that it runs once; later calls return the first one's promise. */
export function once(dispose: () => void | Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= (async () => dispose())());
}

/** An {@link AsyncDisposable} from a function; disposing twice runs it once. */
export function disposable(dispose: () => void | Promise<void>): AsyncDisposable {
  const run = once(dispose);
  return { [Symbol.asyncDispose]: run };
}

/** Why something was aborted; the reason decides what the other side is told. */
export class Aborted extends Error {
  override readonly name = "Aborted";
  readonly reason:
    | "client-gone"
    | "deadline"
    | "shutdown"
    | "revoked"
    | "expired"
    | "blocked"
    | "forbidden"
    | "unavailable";
  constructor(reason: Aborted["reason"], options?: ErrorOptions) {
    super(reason, options);
    this.reason = reason;
  }
}

/** The text of anything thrown, for logs and acknowledgements: one line, where a schema has several complaints too. */
export function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const { issues } = thrown as { issues?: unknown };
  if (!Array.isArray(issues) || issues.length === 0) return thrown.message;
  return (issues as Issue[])
    .map(({ path = [], message }) =>
      path.length === 0 ? message : `${path.map(String).join(".")}: ${message}`,
    )
    .join("; ");
}

/** A complaint of a schema. */
interface Issue {
  readonly path?: readonly PropertyKey[];
  readonly message: string;
}
