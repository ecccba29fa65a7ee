"""Adapter of the subject protocol for graypy, whose handlers for Python's logging only support sockets."""

import contextlib
import importlib.metadata
import sys
import warnings

from graypy import GELFTCPHandler, GELFUDPHandler
from graypy.handler import GELFChunkOverflowWarning, GELFWarningChunker
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
    "name": "graypy",
    "version": importlib.metadata.version("graypy"),
    "language": "Python",
    "can": ["send", "chunk"],
    "sends": ["udp", "tcp"],
    "notes": "Uses GELFUDPHandler, with its default GELFWarningChunker, and GELFTCPHandler, with a constructed log record. "
    "On errors, the handler prints or warns and drops the record; this is reported as an error. "
    "The request chunk calls the handler's send.",
}


def chunker_of(request):
    return GELFWarningChunker(chunk_size=request.get("datagram_size", 1420) - CHUNK_HEADER)


def handle(handler, call):
    """Calls the handler, and raises its output and warnings as errors, because it drops the record."""
    failures = []
    handler.handleError = lambda _: failures.append(describe(sys.exc_info()[1]))
    with contextlib.closing(handler), refusals(), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        call()
    overflows = (warning for warning in warned if issubclass(warning.category, GELFChunkOverflowWarning))
    failures.extend(describe(warning.message) for warning in overflows)
    if failures:
        raise Refused(failures[0])


def send(request):
    message = request["message"]
    compression = request.get("compression", "none")
    if compression not in ("none", "zlib"):
        raise Unsupported(f"no {compression}, only zlib")
    if request["transport"] == "tcp" and compression != "none":
        raise Unsupported("no compression on TCP")
    record = record_of(message)
    host = message.get("host")

    def log_udp(port):
        chunker = chunker_of(request)
        handler = GELFUDPHandler(LOOPBACK, port, chunker, compress=compression == "zlib", localname=host)
        handle(handler, lambda: handler.handle(record))

    def log_tcp(port):
        handler = GELFTCPHandler(LOOPBACK, port, localname=host)
        handle(handler, lambda: handler.handle(record))

    if request["transport"] == "udp":
        return {"datagrams": datagrams_of(log_udp)}
    return {"stream": stream_of(log_tcp)}


def chunk(request):
    def cut(port):
        handler = GELFUDPHandler(LOOPBACK, port, chunker_of(request))
        handle(handler, lambda: handler.send(bytes.fromhex(request["payload"])))

    return {"datagrams": datagrams_of(cut)}


serve(HELLO, {"send": send, "chunk": chunk})
