/**
 * Ways to put words into the mouth of the gateway. Each is a line: fields of a request, and trailers where its form has them. Where `mallory`
 * stands, nothing may come through. How names can be spelled is tried in test/conformance/identity-names.test.ts.
 */
import type { Shown } from "./access-kit.ts";

export interface Forgery {
  readonly what: string;
  readonly fields: Shown;
  /** Behind a body in chunks. */
  readonly trailers?: Shown;
}

export const names = [
  "X-User-ID",
  "X-User-Roles",
  "X-User-Scopes",
  "X-Auth-Method",
  "X-Auth-Session",
] as const;
const eachNamed = (respell: (name: string) => string, value = "mallory"): Shown =>
  names.map((name) => [respell(name), value]);
const plain = eachNamed((name) => name);
const list = names.join(", ");
const repeated = (times: number) => Array.from({ length: times }, () => plain).flat();

export const forgeries: readonly Forgery[] = [
  { what: "every name", fields: plain },
  { what: "in small letters", fields: eachNamed((name) => name.toLowerCase()) },
  { what: "in capitals", fields: eachNamed((name) => name.toUpperCase()) },
  { what: "with underscores", fields: eachNamed((name) => name.replaceAll("-", "_")) },
  { what: "with one underscore", fields: eachNamed((name) => name.replace("-", "_")) },
  { what: "with dots", fields: eachNamed((name) => name.replaceAll("-", ".")) },
  { what: "without hyphens", fields: eachNamed((name) => name.replaceAll("-", "")) },
  { what: "with a hyphen before and behind", fields: eachNamed((name) => `-${name}-`) },
  { what: "twice", fields: repeated(2) },
  { what: "forty times", fields: repeated(40) },
  {
    what: "in two spellings",
    fields: [...plain, ...eachNamed((name) => name.replaceAll("-", "_"))],
  },
  { what: "with blanks around the value", fields: eachNamed((name) => name, " \t mallory \t ") },
  { what: "with a list as the value", fields: eachNamed((name) => name, "a, mallory, b") },
  { what: "with nothing as the value", fields: eachNamed((name) => name, "") },
  {
    what: "with nothing first, then something",
    fields: [...eachNamed((name) => name, ""), ...plain],
  },
  { what: "with bytes beyond ASCII", fields: eachNamed((name) => name, "mallory\xe9\xff") },
  { what: "in quotes", fields: eachNamed((name) => name, '"mallory"') },
  { what: "named by Connection", fields: [["Connection", list], ...plain] },
  { what: "named by Connection and not there", fields: [["Connection", list]] },
  {
    what: "named by Connection in capitals",
    fields: [["Connection", list.toUpperCase()], ...plain],
  },
  {
    what: "named by Connection with empty elements",
    fields: [["Connection", `, ,${names.join(",,")},`]],
  },
  {
    what: "each named by a Connection of its own",
    fields: names.map((name) => ["Connection", name]),
  },
  {
    what: "named by Connection with underscores",
    fields: [
      ["Connection", list.replaceAll("-", "_")],
      ...eachNamed((name) => name.replaceAll("-", "_")),
    ],
  },
  {
    what: "all that the gateway says named by Connection",
    fields: [
      ["Connection", "X-Request-ID, Via, Forwarded, X-Forwarded-For, traceparent, X-Auth-Method"],
    ],
  },
  {
    what: "named by Keep-Alive and Proxy-Connection",
    fields: [["Keep-Alive", list], ["Proxy-Connection", list], ...plain],
  },
  {
    what: "announced as trailers",
    fields: [["Trailer", list], ["TE", "trailers"], ...plain],
    trailers: plain,
  },
  { what: "as trailers, not announced", fields: [], trailers: plain },
  {
    what: "as trailers with underscores",
    fields: [["Trailer", "X-Other"]],
    trailers: eachNamed((name) => name.replaceAll("-", "_")),
  },
  { what: "as trailers, twice", fields: [["TE", "trailers"]], trailers: [...plain, ...plain] },
  {
    what: "as what other gateways say",
    fields: [
      ["X-Forwarded-User", "mallory"],
      ["X-Forwarded-Email", "mallory"],
      ["X-Forwarded-Groups", "mallory"],
      ["X-Forwarded-Preferred-Username", "mallory"],
    ],
  },
];

/** No fields at all (RFC 9110 §5.1, §5.5, RFC 9112 §5): who sends such a thing is refused, in every form of request. */
export const malformed: readonly (readonly [what: string, line: string])[] = [
  ["a blank before the colon", "X-User-ID : mallory"],
  ["a tab before the colon", "X-User-ID\t: mallory"],
  ["a blank within the name", "X-User ID: mallory"],
  ["folded over two lines", "X-User-ID:\r\n mallory"],
  ["folded behind another field", "X-Other: 1\r\n X-User-ID: mallory"],
  ["behind a bare CR", "X-Other: 1\rX-User-ID: mallory"],
  ["behind a bare LF", "X-Other: 1\nX-User-ID: mallory"],
  ["a NUL in the value", "X-User-ID: m\0allory"],
  ["a NUL in the name", "X-User-ID\0: mallory"],
  ["no name", ": mallory"],
  ["no colon", "X-User-ID mallory"],
];
