import { messageOf, shown } from "@tocsin/shared";
import type { z } from "zod";
import { pointerOf } from "./catalogue/document.ts";
import { Declined, type ProblemPlace } from "./problem.ts";

interface Schema<Value> {
  safeParse(
    value: unknown,
  ):
    | { readonly success: true; readonly data: Value }
    | { readonly success: false; readonly error: { readonly issues: readonly z.core.$ZodIssue[] } };
}

/** Reads JSON text by a schema. @throws Declined 400 when it is not JSON, 422 with every place when it does not validate */
export function readBody<Value>(schema: Schema<Value>, text: string): Value {
  return check(schema, readJson(text));
}

/** No body is an empty object. @throws Declined 400 when it is not JSON */
export function readJson(text: string): unknown {
  try {
    return text.trim() === "" ? {} : JSON.parse(text);
  } catch (cause) {
    throw new Declined(400, "bad-request", "The body is not JSON", {
      detail: whyNotJson(cause),
      cause,
    });
  }
}

/** Without the piece of the text that the engine quotes: a token may stand in it. */
function whyNotJson(cause: unknown): string {
  return messageOf(cause).replace(/, (\.\.\.)?".*"(\.\.\.)? is not valid JSON$/s, "");
}

/** @throws Declined 422 with every place that does not validate */
export function check<Value>(schema: Schema<Value>, value: unknown): Value {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new Declined(422, "validation-failed", "The request does not validate", {
    errors: parsed.error.issues.flatMap((issue) => placesOf(issue, [])),
  });
}

/** Every place that does not validate, for a value that stands at `base` of what was sent. */
export function placesIn(
  schema: Schema<unknown>,
  value: unknown,
  base: readonly PropertyKey[],
): ProblemPlace[] {
  const parsed = schema.safeParse(value);
  return parsed.success ? [] : parsed.error.issues.flatMap((issue) => placesOf(issue, base));
}

/** Of several shapes the complaints about the one that was meant: the one that has the fewest. */
function placesOf(issue: z.core.$ZodIssue, base: readonly PropertyKey[]): ProblemPlace[] {
  const path = [...base, ...issue.path];
  if (issue.code !== "invalid_union" || issue.errors.length === 0)
    return [{ pointer: pointerOf(path), message: sentenceOf(issue) }];
  const branches = issue.errors.map((issues) => issues.flatMap((each) => placesOf(each, path)));
  const wrongKind = (issues: readonly z.core.$ZodIssue[]) =>
    issues.filter(
      (each) =>
        each.code === "invalid_value" ||
        each.code === "unrecognized_keys" ||
        (each.code === "invalid_union" && each.errors.length === 0),
    ).length;
  const best = issue.errors
    .map((issues, index) => ({ index, weight: wrongKind(issues) * 100 + issues.length }))
    .toSorted((a, b) => a.weight - b.weight)[0]!;
  return branches[best.index]!;
}

/** The schema's own sentence, but that it quotes unknown keys as they are. */
function sentenceOf(issue: z.core.$ZodIssue): string {
  if (issue.code !== "unrecognized_keys") return issue.message;
  const { keys } = issue;
  return `Unrecognized key${keys.length > 1 ? "s" : ""}: ${keys.map(shown).join(", ")}`;
}
