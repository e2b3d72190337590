"""Takes an order and says so in a room, both or neither: python3 order.py shop:orders ID lamp

It may be run again with the same id: the row is there once, and so is the event, whose tag is the id.
"""

import json
import os
import sys

import psycopg


def order(room, order_id, item):
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:  # commits at the end, or rolls back
        connection.execute("insert into orders (id, item) values (%s, %s) on conflict do nothing", (order_id, item))
        # Last: from here until the commit nobody else can send to the room.
        data = json.dumps({"order": order_id, "item": item})
        return connection.execute(
            "select seq, duplicate from roomlog.append(%s, %s, %s, %s::text, %s::text)",
            (room, "order", "service:shop", order_id, data),
        ).fetchone()


try:
    seq, duplicate = order(*sys.argv[1:])
except psycopg.Error as error:
    sys.exit(f"order.py: {error}")  # such as tag_conflict: …, where error.sqlstate is RL010
print(seq, "again" if duplicate else "new")
