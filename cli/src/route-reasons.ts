import type { Verdict } from "@tocsin/proxy";

export interface Reason {
  readonly kind: "method" | "host" | "header" | "query" | "body" | "order";
  /** What the route wants, and what the request has. */
  readonly text: string;
}

/** Why a route does not take a request. @param winner the route that does */
export function reasonsAgainst(
  { route, fit, behind }: Verdict,
  request: { readonly method: string; readonly host: string },
  winner: string | undefined,
): Reason[] {
  const reasons: Reason[] = [];
  const { match } = route;
  if (fit.host === undefined)
    reasons.push({
      kind: "host",
      text: `host: wants ${match.hosts?.join(" or ") ?? "any"}, found ${request.host}`,
    });
  if (fit.method === undefined) {
    const wanted =
      match.methods?.join(" or ") ??
      (match.body === undefined ? "any" : "one whose body counts (POST, PUT, PATCH)");
    reasons.push({ kind: "method", text: `method: wants ${wanted}, found ${request.method}` });
  }
  for (const check of fit.checks)
    if (!check.met)
      reasons.push({
        kind: check.of,
        text: `${check.of} ${check.name}: wants ${wantedText(check)}, found ${foundText(check)}`,
      });
  if (reasons.length > 0) return reasons;
  return [{ kind: "order", text: orderText(behind, winner) }];
}

type Check = Verdict["fit"]["checks"][number];

function wantedText({ wanted }: Check): string {
  return wanted === "*" ? "any value" : JSON.stringify(wanted);
}

export function foundText({ found, instead }: Check): string {
  return instead ?? (found === undefined ? "none" : JSON.stringify(found));
}

function orderText(behind: Verdict["behind"], winner: string | undefined): string {
  // It would take the request, were it not refused for another reason.
  if (winner === undefined) return "would take it";
  switch (behind?.kind) {
    case "host":
      return `the host of ${winner} is more specific`;
    case "path":
      return `the path of ${winner} is more specific`;
    case "headers":
      return `${winner} has more conditions on headers, ${behind.first} to ${behind.second}`;
    case "query":
      return `${winner} has more conditions on the query, ${behind.first} to ${behind.second}`;
    case "body":
      return `${winner} has more conditions on the body, ${behind.first} to ${behind.second}`;
    case "method":
      return `${winner} names the method`;
    case undefined:
      return `${winner} comes first`;
    default:
      return behind satisfies never;
  }
}
