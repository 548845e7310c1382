"""Shippers' libraries, unmodified, against a node: `shippers.py URL INGEST_TOKEN PART`."""

import logging
import sys

URL, TOKEN, PART = sys.argv[1:4]


def same(found, wanted):
    if found != wanted:
        raise AssertionError(f"found {found!r}, wanted {wanted!r}")


def elasticsearch():
    from elasticsearch import ApiError, Elasticsearch, helpers

    def client(token):
        return Elasticsearch(
            f"{URL}/api/v1/ingest/elastic-bulk",
            basic_auth=("any", token),
            http_compress=True,
            request_timeout=60,
        )

    same(client(TOKEN).info()["tagline"], "You Know, for Search")
    actions = (
        {
            "_op_type": "create",
            "_index": "logs",
            "@timestamp": 1795489200000 + n,
            "message": f"bulk line {n}",
            "n": n,
            "host": {"name": "web1"},
        }
        for n in range(500)
    )
    same(helpers.bulk(client(TOKEN), actions, chunk_size=120), (500, []))
    try:
        helpers.bulk(client("wrong"), [{"_index": "logs", "message": "lost"}])
        raise AssertionError("a wrong token is taken")
    except ApiError as error:
        same(error.status_code, 403)


def opentelemetry():
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.resources import Resource

    for compression in (Compression.NoCompression, Compression.Gzip):
        exporter = OTLPLogExporter(
            endpoint=f"{URL}/api/v1/ingest/otlp/v1/logs",
            headers={"Authorization": f"Bearer {TOKEN}"},
            compression=compression,
            timeout=60,
        )
        provider = LoggerProvider(resource=Resource.create({"service.name": "shop"}))
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
        provider.get_logger("shippers").emit(
            LogRecord(
                timestamp=1795489200_000000000,
                severity_number=SeverityNumber.WARN,
                severity_text="WARN",
                body=f"over {compression.value}",
                attributes={"encoding": compression.value},
            )
        )
        same(provider.force_flush(60_000), True)
        provider.shutdown()


def splunk():
    from urllib.parse import urlparse

    from splunk_handler import SplunkHandler

    url = urlparse(URL)
    handler = SplunkHandler(
        host=url.hostname,
        port=url.port,
        protocol="http",
        token=TOKEN,
        index="main",
        hostname="web1",
        source="shippers",
        sourcetype="text",
        flush_interval=0.1,
        timeout=60,
    )
    logger = logging.getLogger("shippers")
    logger.addHandler(handler)
    for n in range(20):
        logger.warning("over hec %d.", n)
    handler.force_flush()
    handler.shutdown()


{"elasticsearch": elasticsearch, "opentelemetry": opentelemetry, "splunk": splunk}[PART]()
