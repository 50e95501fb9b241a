"""Prints a token for the example: python3 token.py NAME (RFC 7519, HS256, an hour)."""

import base64
import hashlib
import hmac
import json
import os
import sys
import time


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


now = int(time.time())
claims = {"iss": "demo", "aud": "demo-api", "sub": sys.argv[1], "jti": os.urandom(8).hex(), "iat": now, "exp": now + 3600}
parts = [{"alg": "HS256", "typ": "JWT"}, claims]
text = ".".join(encoded(json.dumps(part).encode()) for part in parts)
secret = os.environ.get("JWT_SECRET_KEY", "0123456789abcdef0123456789abcdef").encode()
print(f"{text}.{encoded(hmac.new(secret, text.encode(), hashlib.sha256).digest())}")
