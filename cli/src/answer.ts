import { CommandFailed } from "./terminal.ts";

/** What is asked of a schema of the contract. */
interface Schema<T> {
  safeParse(document: unknown):
    | { readonly success: true; readonly data: T }
    | {
        readonly success: false;
        readonly error: Error & {
          readonly issues: readonly {
            readonly path: readonly PropertyKey[];
            readonly message: string;
          }[];
        };
      };
}

/** The answer as the contract has it. @throws CommandFailed when the control plane's contract is another */
export function understood<T>(schema: Schema<T>, document: unknown): T {
  const parsed = schema.safeParse(document);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new CommandFailed(
    `The control plane's answer is not understood (${issue?.path.join(".") || "whole"}: ${issue?.message ?? "wrong"}). Are this command and the control plane of the same version?`,
    { cause: parsed.error },
  );
}

/** The list in an answer such as `{ services: [ … ] }`. @throws CommandFailed as {@link understood} */
export function understoodList<T>(schema: Schema<T>, name: string, document: unknown): T {
  const holder = typeof document === "object" && document !== null ? document : {};
  return understood(schema, (holder as Readonly<Record<string, unknown>>)[name]);
}
