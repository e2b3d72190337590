"""Sends each line of a file to a room, in order: python3 send.py chat:lobby lines.txt

It may be killed and run again: a line has the same tag each time, and the server stores a tag once.
"""

import http.client
import json
import os
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

SERVER = os.environ.get("ROOMLOG_URL", "http://127.0.0.1:8080")


def token():
    """The token of your backend; without one, a server in dev mode gives one to anybody."""
    if "ROOMLOG_TOKEN" in os.environ:
        return os.environ["ROOMLOG_TOKEN"]
    with urllib.request.urlopen(SERVER + "/v1/dev/token?user=sender", timeout=10) as answer:
        return json.load(answer)["token"]


def post(room, body):
    request = urllib.request.Request(
        f"{SERVER}/v1/rooms/{urllib.parse.quote(room)}/events",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token()}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def send(room, tag, text):
    """Sends until the server has answered for good, always with the same tag."""
    failures = 0
    while True:
        wait = 0
        try:
            return post(room, {"tag": tag, "type": "message", "data": {"text": text}})
        except urllib.error.HTTPError as refusal:
            if refusal.code < 500 and refusal.code not in (401, 429):
                sys.exit(f"send.py: {refusal.read().decode()}")
            wait = int(refusal.headers.get("Retry-After", 0))
        except (OSError, http.client.HTTPException, ValueError):
            pass  # no answer, or half of one: it may be stored or not, and the tag makes the repeat harmless
        failures += 1
        time.sleep(max(wait, random.uniform(0, min(20, 0.25 * 2**failures))))


def main():
    room, file = sys.argv[1:]
    with open(file, encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            # What makes a line this line: here its number, in your app the key of its row.
            tag = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{file}#{number}"))
            stored = send(room, tag, line.rstrip("\n"))
            print(stored["seq"], "again" if stored.get("duplicate") else "new", flush=True)


main()
