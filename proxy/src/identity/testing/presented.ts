import type { Presented } from "../identity.ts";

/** A request with this `Authorization` field and no other credential. */
export function presenting(authorization: string | undefined): Presented {
  return {
    method: "GET",
    head: {
      authorization,
      host: "api.example",
      forwardedHost: undefined,
      forwardedProto: undefined,
      passing: [],
    },
    origin: { trusted: false },
  };
}
