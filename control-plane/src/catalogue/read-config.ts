/** From text to a config that can be applied, or to every reason why not. */
import { Config, inconsistencies, methods } from "@tocsin/shared/contract";
import { pointerOf, readDocument, type ConfigProblem } from "./document.ts";
import { interpolate } from "./interpolate.ts";
import { findings, type Finding } from "./issues.ts";
import { knownKeys } from "./known-keys.ts";

export type ReadConfig =
  | {
      readonly ok: true;
      readonly config: Config;
      /** The document with its references resolved, as it goes into the journal. */
      readonly document: unknown;
    }
  | { readonly ok: false; readonly errors: readonly ConfigProblem[] };

/**
 * Reads a config: syntax, references to the environment, schema, references within. Never throws.
 *
 * @param source YAML or JSON
 * @param environment what `${NAME}` refers to
 */
export function readConfig(
  source: string,
  environment: Readonly<Record<string, string | undefined>>,
): ReadConfig {
  const read = readDocument(source);
  if (!read.ok) return read;
  const { document } = read;
  const { value, unresolved } = interpolate(document.value ?? {}, environment);
  const parsed = Config.safeParse(value);
  if (parsed.success && unresolved.length === 0)
    return { ok: true, config: parsed.data, document: value };

  const checked = { root: value, keysAt: knownKeys() };
  const crossed = inconsistencies(value, methods).map((each) => ({
    code: "custom" as const,
    ...each,
    path: [...each.path],
    input: undefined,
  }));
  const found: Finding[] = [
    ...unresolved,
    ...(parsed.success ? [] : findings(parsed.error.issues, checked)),
    ...findings(crossed, checked),
  ];
  const errors = found.map(({ path, key, message }) => ({
    pointer: pointerOf(path),
    ...document.placeOf(path, key),
    message,
  }));
  // The schema finds an inconsistency too when nothing else is wrong; a reference that was not resolved explains what follows from it.
  const told = new Set<string>();
  const distinct = errors.filter(({ pointer, message }) => {
    const key = unresolved.some(({ path }) => pointerOf(path) === pointer)
      ? pointer
      : `${pointer} ${message}`;
    return !told.has(key) && told.add(key);
  });
  return { ok: false, errors: distinct.toSorted((a, b) => a.line - b.line || a.column - b.column) };
}
