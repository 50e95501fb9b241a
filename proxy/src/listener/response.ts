import { ServerResponse } from "node:http";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Connection } from "./connection.ts";

/** Node's response, knowing which exchange it belongs to: no closure is made for that. */
export class ExchangeResponse extends ServerResponse {
  exchange: Exchange | undefined = undefined;
  connectionState: Connection | undefined = undefined;
}
