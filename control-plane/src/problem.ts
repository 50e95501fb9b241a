import { withoutCredentials } from "@tocsin/shared";

/** A request that the control plane does not carry out, with the reason: over HTTP a problem document, over the bus the same facts. */
export interface ProblemPlace {
  readonly pointer: string;
  readonly message: string;
  readonly line?: number;
  readonly column?: number;
}

export class Declined extends Error {
  override readonly name = "Declined";
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string | undefined;
  readonly errors: readonly ProblemPlace[] | undefined;
  /** The operation by which the order can be repeated. */
  readonly operation: string | undefined;

  constructor(
    status: number,
    code: string,
    title: string,
    more: {
      readonly detail?: string;
      readonly errors?: readonly ProblemPlace[];
      readonly operation?: string;
      readonly cause?: unknown;
    } = {},
  ) {
    super(title, more.cause === undefined ? undefined : { cause: more.cause });
    this.status = status;
    this.code = code;
    this.title = title;
    // They quote what was sent, and a token may stand where a name belongs.
    this.detail = more.detail === undefined ? undefined : withoutCredentials(more.detail);
    this.errors = more.errors?.map((place) => ({
      ...place,
      pointer: withoutCredentials(place.pointer),
      message: withoutCredentials(place.message),
    }));
    this.operation = more.operation;
  }
}
