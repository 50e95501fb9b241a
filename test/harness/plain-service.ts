// A service that knows nothing of any gateway: `node plain-service.ts NAME PORT`. Answers with what it was asked, after `?ms=` milliseconds.
// SIGTERM: it says on `/health` that it is about to go, and a second later it goes.
import { createServer } from "node:http";

const [name, port] = process.argv.slice(2);
let going = false;
const server = createServer((request, response) => {
  request.resume();
  if (going && request.url === "/health") response.statusCode = 503;
  const { searchParams } = new URL(request.url ?? "/", "http://service");
  setTimeout(
    () => {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ name, path: request.url, headers: request.headers }));
    },
    Number(searchParams.get("ms") ?? 0),
  );
}).listen(Number(port), "127.0.0.1", () => console.log("listening"));

process.once("SIGTERM", () => {
  going = true;
  setTimeout(() => server.close(), 1_000);
});
