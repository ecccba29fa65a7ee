"""Adapter of the subject protocol for pygelf, whose handlers for Python's logging only support sockets."""

import contextlib
import importlib.metadata
import sys

import pygelf
from python_logging import (
    CHUNK_HEADER,
    LOOPBACK,
    Refused,
    Unsupported,
    datagrams_of,
    describe,
    record_of,
    refusals,
    serve,
    stream_of,
)

HELLO = {
    "name": "pygelf",
    "version": importlib.metadata.version("pygelf"),
    "language": "Python",
    "can": ["send", "chunk"],
    "sends": ["udp", "tcp"],
    "fixed": ["host"],
    "notes": "Uses GelfUdpHandler and GelfTcpHandler with a constructed log record, and include_extra_fields if there are "
    "fields. On errors, the handler prints a message and drops the record; this is reported as an error. "
    "The request chunk calls the handler's send.",
}


def send(request):
    message = request["message"]
    compression = request.get("compression", "none")
    if compression not in ("none", "zlib"):
        raise Unsupported(f"no {compression}, only zlib")
    record = record_of(message)
    options = {"compress": compression == "zlib", "include_extra_fields": bool(message.get("fields"))}
    if request["transport"] == "udp":
        options["chunk_size"] = request.get("datagram_size", 1420) - CHUNK_HEADER
    failures = []

    def log(port):
        make = pygelf.GelfUdpHandler if request["transport"] == "udp" else pygelf.GelfTcpHandler
        handler = make(host=LOOPBACK, port=port, **options)
        # By default it prints the traceback and drops the message.
        handler.handleError = lambda _: failures.append(describe(sys.exc_info()[1]))
        with contextlib.closing(handler), refusals():
            handler.handle(record)

    answer = {"datagrams": datagrams_of(log)} if request["transport"] == "udp" else {"stream": stream_of(log)}
    if failures:
        raise Refused(failures[0])
    return answer


def chunk(request):
    def cut(port):
        handler = pygelf.GelfUdpHandler(LOOPBACK, port, chunk_size=request["datagram_size"] - CHUNK_HEADER)
        with contextlib.closing(handler), refusals():
            handler.send(bytes.fromhex(request["payload"]))

    return {"datagrams": datagrams_of(cut)}


serve(HELLO, {"send": send, "chunk": chunk})
