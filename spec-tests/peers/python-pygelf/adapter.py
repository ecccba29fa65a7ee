"""Adapter of the subject protocol for pygelf, whose handlers for Python's logging only support sockets."""

import importlib.metadata

import pygelf
from gelf_subject import CHUNK_HEADER, LOOPBACK, Unsupported, serve
from python_logging import record_of, sent

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
    compression = request.get("compression", "none")
    if compression not in ("none", "zlib"):
        raise Unsupported(f"no {compression}, only zlib")
    record = record_of(request["message"])
    has_fields = bool(request["message"].get("fields"))
    options = {"compress": compression == "zlib", "include_extra_fields": has_fields}

    def handler_of(port):
        if request["transport"] == "tcp":
            return pygelf.GelfTcpHandler(host=LOOPBACK, port=port, **options)
        size = request.get("datagram_size", 1420) - CHUNK_HEADER
        return pygelf.GelfUdpHandler(host=LOOPBACK, port=port, chunk_size=size, **options)

    return sent(request, handler_of, lambda handler: handler.handle(record))


def chunk(request):
    payload, size = bytes.fromhex(request["payload"]), request["datagram_size"] - CHUNK_HEADER
    handler_of = lambda port: pygelf.GelfUdpHandler(LOOPBACK, port, chunk_size=size)
    return sent(request, handler_of, lambda handler: handler.send(payload))


serve(HELLO, {"send": send, "chunk": chunk})
