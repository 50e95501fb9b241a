import { readFileSync } from "node:fs";
import type { RehearsedRequest } from "@tocsin/proxy";
import type { Config } from "@tocsin/shared/contract";
import { CommandFailed, type Terminal } from "./terminal.ts";

export interface RequestOptions {
  /** Fields, `name: value`. */
  readonly header?: readonly string[];
  /** The body; `@FILE` for that of a file, `@-` for standard input. */
  readonly data?: string;
}

/**
 * A request out of the words of a command line. The target goes out as it was typed, not as a browser would tidy it up: what is to be
 * tried may be the untidy spelling.
 *
 * @throws CommandFailed when it cannot be put on a connection at all
 */
export async function requestOf(
  terminal: Terminal,
  words: { readonly method: string; readonly target: string },
  options: RequestOptions,
): Promise<RehearsedRequest> {
  const method = /^[a-z]+$/.test(words.method) ? words.method.toUpperCase() : words.method;
  if (!/^[A-Za-z-]+$/.test(method))
    throw new CommandFailed(`${JSON.stringify(words.method)} is not a method, such as GET.`);
  const { host, target } = placeOf(words.target);
  const given = (options.header ?? []).map(fieldOf);
  const has = (name: string) => given.some(([each]) => each.toLowerCase() === name);
  const body = await bodyOf(terminal, options.data);
  const fields = [
    ...(has("host") || host === undefined ? [] : ["Host", host]),
    ...given.flat(),
    ...(body.length > 0 && !has("content-type") ? ["Content-Type", "application/json"] : []),
    ...(body.length > 0 && !has("content-length") && !has("transfer-encoding")
      ? ["Content-Length", String(body.length)]
      : []),
  ];
  return { method, target, fields, body };
}

/** The request with a host that is served, where its words named none. */
export function hosted(request: RehearsedRequest, { listen }: Config): RehearsedRequest {
  const { fields } = request;
  if (fields.some((name, index) => index % 2 === 0 && name.toLowerCase() === "host"))
    return request;
  return { ...request, fields: ["Host", hostServed(listen.hosts), ...fields] };
}

function placeOf(text: string): { host: string | undefined; target: string } {
  const url = /^https?:\/\/([^/?#]*)([^#]*)/i.exec(text);
  const target = url === null ? text : url[2]!.startsWith("/") ? url[2]! : `/${url[2]}`;
  if (target === "" || /[\r\n\0 ]/.test(target) || url?.[1] === "")
    throw new CommandFailed(
      `${JSON.stringify(text)} is neither a path nor a URL: write /users/42 or http://api.example/users/42.`,
    );
  if (!/^[/*]/.test(target))
    throw new CommandFailed(`${JSON.stringify(text)} is not a path: it begins with a slash.`);
  return { host: url?.[1], target };
}

function fieldOf(line: string): [name: string, value: string] {
  const found = /^([^:\s]+):[ \t]*([^\r\n\0]*)$/.exec(line);
  if (found === null)
    throw new CommandFailed(`-H: ${JSON.stringify(line)} is not a header: write "name: value".`);
  return [found[1]!, found[2]!.trimEnd()];
}

async function bodyOf(terminal: Terminal, text: string | undefined): Promise<Buffer> {
  if (text === "@-") return Buffer.from(await terminal.readInput());
  if (text?.startsWith("@") !== true) return Buffer.from(text ?? "");
  const file = text.slice(1);
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new CommandFailed(
      `Cannot read the body from ${file}: ${(cause as NodeJS.ErrnoException).code ?? "failed"}`,
      { cause },
    );
  }
}

function hostServed(hosts: readonly string[] | undefined): string {
  if (hosts === undefined) return "localhost";
  return hosts.find((host) => !host.startsWith("*.")) ?? `any${hosts[0]!.slice(1)}`;
}
