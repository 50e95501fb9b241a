/** What a schema found wrong, as sentences for the one who wrote the config. */
import { shown } from "@tocsin/shared";
import { isLaterKey, isLaterValue } from "@tocsin/shared/contract";
import type { z } from "zod";
import { hidden, isSecretKey } from "./redact.ts";
import { suggestion } from "./suggest.ts";

export interface Finding {
  readonly path: readonly PropertyKey[];
  /** The key at the path is what is wrong, not its value. */
  readonly key?: boolean;
  readonly message: string;
}

type Issue = z.core.$ZodIssue;

/** What the sentences are made from, beside the issues. */
export interface Checked {
  /** The whole value that was checked. */
  readonly root: unknown;
  /** The keys that the schema has at a place, to recognise a misspelt one. */
  readonly keysAt: (path: readonly PropertyKey[]) => readonly string[];
}

export function findings(
  issues: readonly Issue[],
  checked: Checked,
  base: readonly PropertyKey[] = [],
): Finding[] {
  return issues.flatMap((issue) => findingsOf(issue, checked, base));
}

function findingsOf(issue: Issue, checked: Checked, base: readonly PropertyKey[]): Finding[] {
  const path = [...base, ...issue.path];
  const found = valueAt(checked.root, path);
  const show = (value: unknown) => (path.some(isSecretKey) ? hidden : shown(value));
  if (isLaterValue(path, found)) return [{ path, message: `${show(found)} is not supported yet` }];
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => ({
        path: [...path, key],
        key: true,
        message: unknownKey(path, key, checked),
      }));
    case "invalid_union": {
      const branch = branchMeant(issue, found);
      return branch === undefined
        ? [{ path, message: `${show(found)} is not allowed here` }]
        : findings(branch, checked, path);
    }
    case "invalid_value": {
      const near =
        typeof found === "string" ? suggestion(found, issue.values.map(String)) : undefined;
      return [
        {
          path,
          message: `found ${show(found)}, allowed: ${issue.values.map(String).join(", ")}${hint(near)}`,
        },
      ];
    }
    case "invalid_type":
      return [
        {
          path,
          message:
            found === undefined
              ? `missing: expected ${article(issue.expected)}`
              : `found ${show(found)}, expected ${article(issue.expected)}`,
        },
      ];
    case "too_small":
    case "too_big":
      return [{ path, message: `found ${show(found)}: ${lower(issue.message)}` }];
    case "custom": {
      const { found: word, allowed } = (issue.params ?? {}) as {
        found?: string;
        allowed?: string[];
      };
      if (word === undefined || allowed === undefined) return [{ path, message: issue.message }];
      const known =
        allowed.length === 0 ? "none is known" : `known: ${allowed.slice(0, 20).join(", ")}`;
      return [{ path, message: `${issue.message}; ${known}${hint(suggestion(word, allowed))}` }];
    }
    case "invalid_key":
      return findings(issue.issues, checked, []).map(({ message }) => ({
        path,
        key: true,
        message,
      }));
    default:
      return [{ path, message: issue.message }];
  }
}

/** Of several shapes the one that was meant: the one whose complaint goes deepest, or is not about the kind of value. */
function branchMeant(
  issue: Extract<Issue, { code: "invalid_union" }>,
  found: unknown,
): readonly Issue[] | undefined {
  const isText = typeof found !== "object";
  const fits = (issues: readonly Issue[]) =>
    !issues.some((each) => each.path.length === 0 && each.code === "invalid_type");
  const candidates = issue.errors.filter(fits);
  const byKind = candidates.find((issues) =>
    issues.some((each) => (each.code === "invalid_value" && each.path.length === 0) === isText),
  );
  return byKind ?? candidates[0] ?? issue.errors[0];
}

function unknownKey(path: readonly PropertyKey[], key: string, checked: Checked): string {
  if (isLaterKey(path, key)) return `${shown(key)} is not supported yet`;
  return `unknown key ${shown(key)}${hint(suggestion(key, checked.keysAt(path)))}`;
}

function hint(near: string | undefined): string {
  return near === undefined ? "" : `; did you mean "${near}"?`;
}

export function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part))
      return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}

function article(kind: string): string {
  return /^[aeiou]/.test(kind) ? `an ${kind}` : `a ${kind}`;
}

const lower = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);
