"""A service that knows nothing of any gateway, with nothing but the standard library.

    python3 service.py NAME PORT [URL]

URL: the outbound side of the sidecar, where it calls the service `orders`.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

name, port = sys.argv[1], int(sys.argv[2])
outbound = sys.argv[3] if len(sys.argv) > 3 else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one piece

    def do_GET(self):
        answer = {"service": name, "path": self.path, "user": self.headers.get("X-User-ID")}
        if outbound and self.path.endswith("/orders"):
            answer["orders"] = self.call_orders()
        body = json.dumps(answer).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def call_orders(self):
        # Authorization says for whom, X-Request-ID and traceparent keep the two calls together. X-User-ID would be taken off.
        names = ("Authorization", "X-Request-ID", "traceparent")
        headers = {each: self.headers[each] for each in names if each in self.headers}
        with urlopen(Request(f"{outbound}/orders/api/orders/mine", headers=headers)) as answer:
            return json.load(answer)

    def log_message(self, *_):
        pass


print(f"{name} on port {port}", flush=True)
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
