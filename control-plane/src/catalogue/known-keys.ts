import { Config } from "@tocsin/shared/contract";
import { z } from "zod";

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

/** The keys that the config language has at a place, read off its JSON Schema. */
export function knownKeys(): (path: readonly PropertyKey[]) => readonly string[] {
  let root: Schema | undefined;
  return (path) => {
    // Made when the first unknown key is met: it takes longer than all the rest.
    root ??= z.toJSONSchema(Config, { io: "input", unrepresentable: "any" }) as Schema;
    let schemas: readonly Schema[] = [root];
    for (const part of path) {
      schemas = schemas.flatMap(alternatives).flatMap((schema) => {
        if (typeof part === "number") return schema.items ?? [];
        const named = schema.properties?.[String(part)];
        if (named !== undefined) return named;
        return typeof schema.additionalProperties === "object" ? schema.additionalProperties : [];
      });
    }
    return schemas.flatMap(alternatives).flatMap((schema) => Object.keys(schema.properties ?? {}));
  };
}

function alternatives(schema: Schema): readonly Schema[] {
  return schema.anyOf === undefined ? [schema] : schema.anyOf.flatMap(alternatives);
}
