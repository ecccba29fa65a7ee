"""Adapter of the subject protocol for graypy, whose handlers for Python's logging only support sockets."""

import importlib.metadata
import warnings

from gelf_subject import CHUNK_HEADER, LOOPBACK, Unsupported, serve
from graypy import GELFTCPHandler, GELFUDPHandler
from graypy.handler import GELFChunkOverflowWarning, GELFWarningChunker
from python_logging import record_of, sent

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

# The chunker warns of a message that it drops.
warnings.simplefilter("error", GELFChunkOverflowWarning)


def chunker_of(request):
    return GELFWarningChunker(chunk_size=request.get("datagram_size", 1420) - CHUNK_HEADER)


def send(request):
    host, compression = request["message"].get("host"), request.get("compression", "none")
    if compression not in ("none", "zlib"):
        raise Unsupported(f"no {compression}, only zlib")
    if request["transport"] == "tcp" and compression != "none":
        raise Unsupported("no compression on TCP")
    record = record_of(request["message"])

    def handler_of(port):
        if request["transport"] == "tcp":
            return GELFTCPHandler(LOOPBACK, port, localname=host)
        return GELFUDPHandler(LOOPBACK, port, chunker_of(request), compress=compression == "zlib", localname=host)

    return sent(request, handler_of, lambda handler: handler.handle(record))


def chunk(request):
    payload = bytes.fromhex(request["payload"])
    handler_of = lambda port: GELFUDPHandler(LOOPBACK, port, chunker_of(request))
    return sent(request, handler_of, lambda handler: handler.send(payload))


serve(HELLO, {"send": send, "chunk": chunk})
