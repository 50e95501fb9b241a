/**
 * Words of the config language that this version does not run yet. They are told apart from typing errors, and refused:
 * a policy that is silently ignored is a hole.
 */
const later: readonly (readonly [path: RegExp, keys: readonly string[]])[] = [
  [/^$/, ["cors", "limits", "caches"]],
  [/^listen$/, ["healthPath"]],
  [/^services\.[^.]+$/, ["external", "credentials"]],
  [
    /^routes\.\d+$/,
    ["limits", "cache", "cacheTags", "rewrite", "version", "validate", "transform", "graphql"],
  ],
];

const laterValues: readonly (readonly [path: RegExp, values: readonly unknown[]])[] = [];

/** Whether a key is a word of the language that comes later. The path is that of the object which holds the key. */
export function isLaterKey(path: readonly PropertyKey[], key: string): boolean {
  const place = path.map(String).join(".");
  return later.some(([pattern, keys]) => pattern.test(place) && keys.includes(key));
}

export function isLaterValue(path: readonly PropertyKey[], value: unknown): boolean {
  const place = path.map(String).join(".");
  return laterValues.some(([pattern, values]) => pattern.test(place) && values.includes(value));
}
