"""Copies a room into an SQLite file and stays with it: python3 follow.py chat:lobby copy.db

It may be cut off, stopped or killed at any moment: the copy and the position change in one
transaction, so that the file holds every event of the room once.
"""

import http.client
import json
import os
import random
import sqlite3
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

SERVER = os.environ.get("ROOMLOG_URL", "http://127.0.0.1:8080")


def token():
    """The token of your backend; without one, a server in dev mode gives one to anybody."""
    if "ROOMLOG_TOKEN" in os.environ:
        return os.environ["ROOMLOG_TOKEN"]
    with urllib.request.urlopen(SERVER + "/v1/dev/token?user=copier", timeout=10) as answer:
        return json.load(answer)["token"]


def frames(stream):
    """The events of a stream, as their fields. One that was cut short is none."""
    frame = {}
    for line in stream:
        text = line.decode().rstrip("\r\n")
        if not text:
            yield frame
            frame = {}
        elif not text.startswith(":"):
            name, _, value = text.partition(": ")
            frame[name] = value


def follow(room, db):
    """Takes what a stream brings, until it ends."""
    (position,) = db.execute("select position from place").fetchone()
    request = urllib.request.Request(
        f"{SERVER}/v1/sse?room={urllib.parse.quote(room)}",
        headers={"Authorization": f"Bearer {token()}", "Last-Event-ID": position},
    )
    # The server says something every 15 s: silence of 30 s is a dead connection.
    with urllib.request.urlopen(request, timeout=30) as stream:
        for frame in frames(stream):
            if "id" in frame:
                take(db, frame)


def take(db, frame):
    data = json.loads(frame["data"])
    with db:  # one transaction
        if frame["event"] == "reset":  # the log does not go on from here: begin anew
            db.execute("delete from events")
        for event in data.get("events", []):
            row = (event["seq"], event["author"], json.dumps(event["data"]))
            db.execute("insert into events values (?, ?, ?)", row)
        db.execute("update place set position = ?", (frame["id"],))


def main():
    room, file = sys.argv[1:]
    db = sqlite3.connect(file)
    with db:
        db.execute("create table if not exists events (seq integer primary key, author, data)")
        db.execute("create table if not exists place (only integer primary key, position)")
        db.execute("insert or ignore into place values (1, '0')")  # 0: from the first event on
    failures = 0
    while True:
        began = time.monotonic()
        try:
            follow(room, db)
        except urllib.error.HTTPError as refusal:
            if refusal.code in (400, 401, 403, 404):  # not for a retry to cure
                sys.exit(f"follow.py: {refusal.read().decode()}")
        except (OSError, http.client.HTTPException, ValueError):
            pass  # the network: no answer, or half of one
        failures = 0 if time.monotonic() - began > 10 else failures + 1
        time.sleep(random.uniform(0, min(20, 0.25 * 2**failures)))


main()
