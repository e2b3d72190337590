"""Posts this machine's load to a feed, once a second: python3 produce.py feed:machine [POINTS]

What could not be posted goes with the next request, with the same tags: no point is lost or stored twice while the
server or the network is away, but for the oldest of more than a thousand.
"""

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

SERVER = os.environ.get("ROOMLOG_URL", "http://127.0.0.1:8080")
EVERY = float(os.environ.get("EVERY", "1"))


def token():
    """The token of your backend; without one, a server in dev mode gives one to anybody."""
    if "ROOMLOG_TOKEN" in os.environ:
        return os.environ["ROOMLOG_TOKEN"]
    with urllib.request.urlopen(SERVER + "/v1/dev/token?user=machine", timeout=10) as answer:
        return json.load(answer)["token"]


def point():
    one, five, _ = os.getloadavg()
    data = {"t": int(time.time() * 1000), "v": {"load_1": one, "load_5": five}}
    return {"tag": str(uuid.uuid4()), "type": "point", "data": data}


def post(room, events):
    """Gives those that are still to be stored. A request without an answer may have stored them all: the tags tell."""
    try:
        request = urllib.request.Request(
            f"{SERVER}/v1/rooms/{urllib.parse.quote(room)}/events",
            data=json.dumps({"events": events}).encode(),
            headers={"Authorization": f"Bearer {token()}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            results = json.load(answer)["results"]
    except urllib.error.HTTPError as refusal:
        if refusal.code < 500 and refusal.code not in (401, 429):
            sys.exit(f"produce.py: {refusal.read().decode()}")
        return events
    except (OSError, http.client.HTTPException, ValueError):
        return events
    for result in results:
        if "code" in result and not result["retryable"]:
            sys.exit(f"produce.py: {result}")
    return [event for event, result in zip(events, results) if "code" in result]


def main():
    room, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
    made, waiting = 0, []
    while count == 0 or made < count or waiting:
        if count == 0 or made < count:
            made += 1
            waiting = [*waiting, point()][-1000:]
        waiting = post(room, waiting[:100]) + waiting[100:]
        time.sleep(EVERY)


main()
