import { pointerOf } from "./catalogue/document.ts";
import { Declined } from "./problem.ts";

interface Schema<Value> {
  safeParse(value: unknown):
    | { readonly success: true; readonly data: Value }
    | {
        readonly success: false;
        readonly error: {
          readonly issues: readonly {
            readonly path: readonly PropertyKey[];
            readonly message: string;
          }[];
        };
      };
}

/** Reads JSON text by a schema. @throws Declined 400 when it is not JSON, 422 with every place when it does not validate */
export function readBody<Value>(schema: Schema<Value>, text: string): Value {
  let value: unknown;
  try {
    value = text.trim() === "" ? {} : JSON.parse(text);
  } catch (cause) {
    throw new Declined(400, "bad-request", "The body is not JSON", {
      detail: cause instanceof Error ? cause.message : "",
      cause,
    });
  }
  return check(schema, value);
}

/** @throws Declined 422 with every place that does not validate */
export function check<Value>(schema: Schema<Value>, value: unknown): Value {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new Declined(422, "validation-failed", "The request does not validate", {
    errors: parsed.error.issues.map(({ path, message }) => ({ pointer: pointerOf(path), message })),
  });
}
