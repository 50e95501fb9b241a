import { Refusal } from "@tocsin/shared";
import { field } from "./conditions.ts";

const mediaType = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)\/([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*(?:;.*)?$/;

/**
 * Whether a body says that it is JSON: `application/json`, or any type with the suffix `+json` (RFC 6838 §4.2.8).
 *
 * @param fields names and values in turn
 * @throws Refusal bad-request when the type is there twice or is none (RFC 9110 §8.3.1); unsupported-media-type when it is JSON that
 * cannot be read here: compressed, or in another encoding than UTF-8. The upstream may well read it, so it is not taken for anything else
 */
export function isJson(fields: readonly string[]): boolean {
  const type = field(fields, "content-type");
  if (type === undefined) return false;
  const parts = mediaType.exec(type);
  if (parts === null)
    throw new Refusal("bad-request", {
      detail: "the Content-Type is not a media type, and the route depends on the body",
    });
  const subtype = parts[2]!.toLowerCase();
  const json =
    subtype.endsWith("+json") || (subtype === "json" && parts[1]!.toLowerCase() === "application");
  if (!json) return false;
  for (const [, charset] of type.matchAll(/;[ \t]*charset[ \t]*=[ \t]*"?([^";\s]*)/gi))
    if (!/^(utf-?8|us-ascii)$/i.test(charset!))
      throw new Refusal("unsupported-media-type", {
        detail: "the body is not in UTF-8, and the route depends on it",
      });
  const coding = field(fields, "content-encoding");
  if (coding !== undefined && coding.toLowerCase() !== "identity")
    throw new Refusal("unsupported-media-type", {
      detail: "the body is compressed, and the route depends on it",
      // RFC 9110 §12.5.3: says which codings would do.
      headers: { "accept-encoding": "identity" },
    });
  return true;
}
