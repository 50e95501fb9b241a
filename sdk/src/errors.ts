export interface RefusedPlace {
  /** JSON pointer into the registration. */
  readonly pointer: string;
  readonly message: string;
}

/** The control plane answered, and said no. Trying again with the same registration is of no use. */
export class RegistrationRefused extends Error {
  override readonly name = "RegistrationRefused";
  /** `validation-failed`, `forbidden`, `credential-missing`, …; stable, for programs. */
  readonly code: string;
  /** The HTTP status, over NATS too. */
  readonly status: number;
  readonly detail: string | undefined;
  /** Places in the registration that are wrong. */
  readonly errors: readonly RefusedPlace[];

  constructor(answer: {
    code: string;
    status: number;
    title?: string;
    detail?: string;
    errors?: readonly RefusedPlace[];
  }) {
    const { code, status, title, detail, errors = [] } = answer;
    const reasons = [
      detail ?? title,
      ...errors.map(({ pointer, message }) => `${pointer === "" ? "/" : pointer} ${message}`),
    ].filter((reason) => reason !== undefined);
    super(`registration refused (${status} ${code}): ${reasons.join("; ") || "no reason given"}`);
    this.code = code;
    this.status = status;
    this.detail = detail;
    this.errors = errors;
  }
}

/** No control plane answered in time. */
export class RegistrationUnavailable extends Error {
  override readonly name = "RegistrationUnavailable";
}
