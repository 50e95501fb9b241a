/**
 * What each field of a request is to a gateway. One table; a name that is not in it passes.
 */

/** Passes unchanged. */
export const pass = 0;
/** Never passes: hop-by-hop, or a name that only the gateway may say. */
export const drop = 1;
export const connection = 2;
export const host = 3;
export const authorization = 4;
export const contentLength = 5;
export const transferEncoding = 6;
export const expect = 7;
export const requestId = 8;
export const forwardedFor = 9;
export const forwardedProto = 10;
export const forwardedHost = 11;
export const forwarded = 12;
/** Says something about the client; passes from a trusted peer only. */
export const aboutClient = 13;
export const traceparent = 14;
export const tracestate = 15;
export const via = 16;
export const te = 17;
/** Passes, and is read for the method that some frameworks take from it. */
export const methodOverride = 18;

const kinds: Readonly<Record<string, number>> = {
  // RFC 9110 §7.6.1: these belong to one connection. `Connection` itself is read for the names that it adds.
  connection,
  "keep-alive": drop,
  "proxy-connection": drop,
  te,
  // Trailers from clients are dropped, so their announcement is too.
  trailer: drop,
  "transfer-encoding": transferEncoding,
  upgrade: drop,
  "http2-settings": drop,
  // RFC 9110 §11.7.2: meant for the first proxy that asks for it, which is this one or none.
  "proxy-authorization": drop,
  "proxy-authenticate": drop,
  host,
  authorization,
  "content-length": contentLength,
  expect,
  "x-request-id": requestId,
  "x-forwarded-for": forwardedFor,
  "x-forwarded-proto": forwardedProto,
  "x-forwarded-host": forwardedHost,
  forwarded,
  "x-real-ip": aboutClient,
  // Some frameworks take their path instead of the request line's: rules that go by the path would be walked around.
  "x-original-url": drop,
  "x-rewrite-url": drop,
  "x-http-method-override": methodOverride,
  "x-http-method": methodOverride,
  "x-method-override": methodOverride,
  traceparent,
  tracestate,
  via,
};

/**
 * Whom a request speaks for is said by the gateway alone. Letters and digits are what counts: whoever looks for `X-UserID` in a service
 * means one of these, and would find what a stranger wrote.
 */
const identity = new Set(["xuserid", "xuserroles", "xuserscopes", "xauthmethod", "xauthsession"]);

/** Names as they were spelled, with what they are. Clients spell names in few ways; beyond the bound they are looked up anew. */
const seen = new Map<string, number>();
const seenAtMost = 2_000;
/** A longer name is not remembered, so that the memory is bounded in bytes too. */
const rememberedLength = 64;

/** What the field of this name is, in whatever spelling. */
export function kindOf(name: string): number {
  return seen.get(name) ?? learn(name);
}

function learn(name: string): number {
  const kind = classify(name.toLowerCase());
  if (seen.size < seenAtMost && name.length <= rememberedLength) seen.set(name, kind);
  return kind;
}

function classify(name: string): number {
  if (Object.hasOwn(kinds, name)) return kinds[name]!;
  if (name.startsWith("x-forwarded-")) return aboutClient;
  if (identity.has(name.replace(/[^a-z0-9]/g, ""))) return drop;
  // Many servers hand a field to the application under a name in which every other character is an underscore (CGI, RFC 3875
  // §4.1.18). `X_User_ID` or `Content_Length` would arrive there as the field that they imitate.
  const alias = name.replace(/[^a-z0-9]/g, "-");
  return alias !== name && (Object.hasOwn(kinds, alias) || alias.startsWith("x-forwarded-"))
    ? drop
    : pass;
}
