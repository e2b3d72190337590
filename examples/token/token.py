"""Prints a token for a user: ROOMLOG_KEY=… python3 token.py mira"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def sign(user, key):
    now = int(time.time())
    claims = {
        "sub": user,
        "iat": now,
        "exp": now + 3600,
        "grants": [{"rooms": "chat:*", "can": ["read", "send"]}],
    }
    text = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (text + b"." + part(hmac.digest(key.encode(), text, hashlib.sha256))).decode()


print(sign(sys.argv[1], os.environ["ROOMLOG_KEY"]))
