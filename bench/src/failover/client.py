"""A client of the peer: inserts rows one after another into whichever node takes writes.

Argument: a libpq connection string that names both nodes. A line that is not known to be committed
is sent again under its own key. Prints `ack PORT NUMBER` for each committed insert, and after the
first one on a node `found PORT COUNT`, which is a search over everything.
"""

import sys
import time

import psycopg2

LINE = "127.0.0.1 - - [10/Oct/2026:13:55:36 +0000] \"GET /api/v1/status HTTP/1.1\" 200 2326 \"-\" \"curl/8\""

connection, counted, number = None, set(), 0
while True:
    try:
        if connection is None:
            connection = psycopg2.connect(sys.argv[1])
            connection.autocommit = True
            cursor = connection.cursor()
            port = connection.info.port
            if number == 0:
                cursor.execute("create table if not exists log (id bigint primary key, line text not null)")
        cursor.execute("insert into log values (%s, %s) on conflict do nothing", (number, LINE))
        print("ack", port, number, flush=True)
        number += 1
        if port not in counted:
            cursor.execute("select count(*) from log")
            print("found", port, cursor.fetchone()[0], flush=True)
            counted.add(port)
        time.sleep(0.005)
    except psycopg2.Error:
        connection = None
        time.sleep(0.02)
