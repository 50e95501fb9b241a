/** Keys that must not be let in, each with what it is. Who adds one to the gateway's worries adds it here. */
import { digestOfKey, freshKey } from "@tocsin/shared/api-keys";

/** One value of the field. @param key a good one of this id */
export function wrongKeys(key: string, id: string): readonly (readonly [string, string])[] {
  const other = freshKey("zzzzzzzzzzzz");
  const secret = key.slice(20, 63);
  const checksum = key.slice(63);
  const swapped = key
    .split("")
    .map((letter) =>
      letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase(),
    );
  return [
    ["the right id with another secret", freshKey(id)],
    ["a well-formed key of nobody's", other],
    ["a key of nobody's with the right secret", key.replace(id, "zzzzzzzzzzzz")],
    ["one character less", key.slice(0, -1)],
    ["without its checksum", key.slice(0, 63)],
    ["half of it", key.slice(0, 34)],
    ["its secret alone", secret],
    ["its id alone", id],
    ["its prefix alone", "tocsin_"],
    ["one character more", `${key}A`],
    ["with padding", `${key}=`],
    ["twice", `${key}${key}`],
    ["twice, as a list", `${key}, ${key}`],
    ["with a comma", `${key},`],
    ["with another one behind it", `${key} ${other}`],
    ["in quotes", `"${key}"`],
    ["in single quotes", `'${key}'`],
    ["in brackets", `<${key}>`],
    ["with a scheme", `Bearer ${key}`],
    ["with the name of the field", `x-api-key: ${key}`],
    ["in base64", Buffer.from(key).toString("base64")],
    ["in hexadecimal", Buffer.from(key).toString("hex")],
    ["percent-encoded", `%74${key.slice(1)}`],
    ["in the other case", swapped.join("")],
    ["in upper case", key.toUpperCase()],
    ["in lower case", key.toLowerCase()],
    ["with another prefix", key.replace("tocsin_", "Tocsin_")],
    ["with the prefix of somebody else", key.replace("tocsin_", "sk_live")],
    ["with hyphens for underscores", key.replaceAll("_", "-")],
    ["with a wrong checksum", `${key.slice(0, 63)}${checksum === "000000" ? "000001" : "000000"}`],
    ["with the checksum of another", `${key.slice(0, 63)}${other.slice(63)}`],
    [
      "with a character changed",
      `${key.slice(0, 40)}${key[40] === "A" ? "B" : "A"}${key.slice(41)}`,
    ],
    ["in plain base64", key.replaceAll(/[-_]/g, "+").replace("tocsin+", "tocsin_")],
    ["with a letter that looks the same", key.replace("o", "\u00f8")],
    [
      "as the bytes of full-width letters",
      Buffer.from("\uff54ocsin").toString("latin1") + key.slice(6),
    ],
    ["with a zero-width space", Buffer.from("\u200b").toString("latin1") + key],
    ["with a soft hyphen", key.replace("_", "\u00ad_")],
    ["with a no-break space", `\u00a0${key}`],
    ["with a tab in it", `${key.slice(0, 30)}\t${key.slice(31)}`],
    ["blank", ""],
    ["one character", "x"],
    ["a wildcard", "*"],
    ["the right length, all zeros", "0".repeat(69)],
    ["the hash that is stored", digestOfKey(key)],
    ["the hash behind the id", `tocsin_${id}_${digestOfKey(key)}${checksum}`],
    ["the id of the prototype", `tocsin___proto__xxxx_${secret}${checksum}`],
    ["the id of a method", `tocsin_constructorx_${secret}${checksum}`],
    ["16 KiB of it", key.repeat(237).slice(0, 16 * 1024)],
    ["a megabyte", "x".repeat(1024 * 1024)],
    ["JSON", JSON.stringify({ key })],
    ["null", "null"],
    ["SQL", "' OR '1'='1"],
  ];
}

/** Fields that servers could read in different ways, names and values in turn. */
export function ambiguousKeys(key: string): readonly (readonly [string, readonly string[]])[] {
  return [
    ["two fields", ["X-API-Key", key, "X-API-Key", key]],
    ["two fields in different case", ["X-API-Key", key, "x-api-key", key]],
    ["a good one and a blank one", ["X-API-Key", key, "X-API-Key", ""]],
    ["an underscore", ["X_API_KEY", key]],
    ["another character for the hyphen", ["x.api.key", key]],
    ["a second field with an underscore", ["x-api-key", key, "x_api-key", key]],
    ["Connection names it", ["Connection", "X-API-Key", "X-API-Key", key]],
    ["Connection names it among others", ["Connection", "close, x-api-key", "X-API-Key", key]],
    ["Connection names it, and it is not there", ["Connection", "x-api-key"]],
    ["a token too", ["Authorization", "Bearer abc", "X-API-Key", key]],
    ["another scheme of Authorization too", ["X-API-Key", key, "Authorization", "Basic abc"]],
  ];
}
