/** References to the environment in a config: `${NAME}`, `${NAME:-default}`; `$${` writes `${` itself. */
import { shown } from "@tocsin/shared";

export interface Unresolved {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

export interface Interpolated {
  readonly value: unknown;
  readonly unresolved: readonly Unresolved[];
}

const reference = /\$\$\{|\$\{([^}]*)\}/g;
const name = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/;

/** Resolves every reference in the texts of a value. Keys are left alone. */
export function interpolate(
  value: unknown,
  environment: Readonly<Record<string, string | undefined>>,
): Interpolated {
  const unresolved: Unresolved[] = [];

  function text(found: string, path: readonly PropertyKey[]): string {
    return found.replace(reference, (whole, inner: string | undefined) => {
      if (inner === undefined) return "${";
      const match = name.exec(inner);
      if (!match) {
        unresolved.push({
          path,
          message: `${shown(whole)} is not a reference: write \${NAME} or \${NAME:-default}`,
        });
        return whole;
      }
      // As in a shell, `:-` also stands in for a variable that is set to nothing.
      const set = environment[match[1]!] || match[2];
      if (set === undefined) {
        unresolved.push({
          path,
          message: `the environment variable ${match[1]!} is not set, and has no default (\${${match[1]!}:-…})`,
        });
        return whole;
      }
      return set;
    });
  }

  function walk(found: unknown, path: readonly PropertyKey[]): unknown {
    if (typeof found === "string") return text(found, path);
    if (Array.isArray(found)) return found.map((item, index) => walk(item, [...path, index]));
    if (typeof found === "object" && found !== null) {
      return Object.fromEntries(
        Object.entries(found).map(([key, item]) => [key, walk(item, [...path, key])]),
      );
    }
    return found;
  }

  return { value: walk(value, []), unresolved };
}
