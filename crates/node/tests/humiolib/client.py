"""Humio's own client, unmodified, against a node: `client.py URL ADMIN_TOKEN PART [INGEST_TOKEN]`."""

import sys

import humiolib
from humiolib import HumioClient, HumioIngestClient
from humiolib.HumioExceptions import (
    HumioHTTPException,
    HumioQueryJobExhaustedException,
    HumioQueryJobExpiredException,
)

URL, ADMIN, PART = sys.argv[1:4]
ALL = {"start": 0, "end": 4_000_000_000_000}


def same(found, wanted):
    if found != wanted:
        raise AssertionError(f"found {found!r}, wanted {wanted!r}")


def refused(status, call):
    try:
        call()
    except HumioHTTPException as error:
        same(error.status_code, status)
        return error.message
    raise AssertionError(f"not refused with {status}")


def client(repository="humio", token=ADMIN):
    return HumioClient(base_url=URL, repository=repository, user_token=token)


def search():
    """Three events were stored: `error one`, `error two` and `fine`."""
    rows = list(client().streaming_query("error", is_live=False, **ALL))
    same([row["@rawstring"] for row in rows], ["error one", "error two"])
    same([row["@timestamp"] for row in rows], [1000, 2000])
    same([row["#kind"] for row in rows], ["test", "test"])
    same(list(client().streaming_query("nowhere", **ALL)), [])
    same(list(client().streaming_query("count()", **ALL)), [{"_count": "3"}])
    # The last day by default, and the times as words.
    same(list(client().streaming_query("error")), [])
    same(list(client().streaming_query("error", start="5minutes", end="now")), [])

    job = client().create_queryjob("error", is_live=False, timezone_offset_minutes=60, **ALL)
    results = list(job.poll_until_done())
    same(len(results), 1)
    same([row["@rawstring"] for row in results[0].events], ["error two", "error one"])
    same(results[0].metadata["eventCount"], 2)
    same(results[0].metadata["isAggregate"], False)
    try:
        job.poll()
        raise AssertionError("the job goes on for ever")
    except HumioQueryJobExhaustedException:
        pass

    job = client().create_queryjob("groupBy(length)", **ALL)
    polled = job.poll()
    same(sorted(row["_count"] for row in polled.events), ["1", "2"])
    same(polled.metadata["isAggregate"], True)

    job = client().create_queryjob("error", **ALL)
    job.webcaller.call_rest(
        "delete", f"dataspaces/humio/queryjobs/{job.query_id}", job._default_user_headers
    )
    try:
        job.poll()
        raise AssertionError("a job that was deleted can be polled")
    except HumioQueryJobExpiredException:
        pass

    message = refused(400, lambda: client().create_queryjob("error", is_live=True))
    assert "isLive" in message, message
    message = refused(400, lambda: list(client().streaming_query("a and (", **ALL)))
    assert "at character 7" in message, message
    refused(404, lambda: list(client("nowhere").streaming_query("a", **ALL)))
    refused(404, lambda: client("nowhere").create_queryjob("a", **ALL))
    refused(403, lambda: list(client(token="wrong").streaming_query("a", **ALL)))


def users():
    admin = client()
    same(admin.get_users(), [])
    made = admin.create_user("ada@example.org", isRoot=True)
    same((made["email"], made["isRoot"]), ("ada@example.org", True))
    # As the client's documentation has it, the same again changes nothing.
    same(admin.create_user("ada@example.org", isRoot=True), made)
    same(admin.get_user_by_email("ada@example.org"), made)
    same(admin.get_users(), [made])
    admin.delete_user_by_email("ada@example.org")
    same(admin.get_users(), [])
    refused(404, lambda: admin.delete_user_by_id(made["userID"]))


def ingest():
    same(client().get_status()["status"], "OK")
    sender = HumioIngestClient(base_url=URL, ingest_token=sys.argv[4])
    sender.ingest_json_data(
        [
            {
                "tags": {"host": "server1"},
                "events": [
                    {"timestamp": "2020-03-23T00:00:00+00:00", "attributes": {"key1": "value1"}},
                    {"timestamp": "2020-03-23T00:00:01+00:00", "attributes": {"key1": "value2"}},
                ],
            }
        ]
    )
    rows = list(client().streaming_query("#host=server1", **ALL))
    same(sorted(row["key1"] for row in rows), ["value1", "value2"])
    same(min(row["@timestamp"] for row in rows), 1584921600000)

    sender.ingest_messages(
        ["hello from a file", "and another line"],
        fields={"source": "humiolib"},
        tags={"kind": "text"},
    )
    rows = list(client().streaming_query("#kind=text", start="1hour"))
    same(sorted(row["@rawstring"] for row in rows), ["and another line", "hello from a file"])
    same([row["source"] for row in rows], ["humiolib", "humiolib"])

    # The administrator's client sends where it searches.
    client().ingest_json_data(
        [{"events": [{"timestamp": 5000, "attributes": {"by": "the administrator"}}]}]
    )
    client().ingest_messages(['{"by": "the administrator"}'], parser="json")
    rows = list(client().streaming_query('by="the administrator"', **ALL))
    same(sorted(row["by"] for row in rows), ["the administrator"] * 2)

    wrong = HumioIngestClient(base_url=URL, ingest_token="wrong")
    refused(403, lambda: wrong.ingest_messages(["lost"]))


same(humiolib.__version__, "0.2.6")
{"search": search, "users": users, "ingest": ingest}[PART]()
