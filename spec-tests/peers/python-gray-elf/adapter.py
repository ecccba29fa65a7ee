"""Adapter of the subject protocol for gray-elf, whose handlers for Python's logging only support sockets."""

import importlib.metadata
import warnings

import gray_elf
from gelf_subject import LOOPBACK, Unsupported, serve
from python_logging import record_of, sent

HELLO = {
    "name": "gray-elf",
    "version": importlib.metadata.version("gray-elf"),
    "language": "Python",
    "can": ["send"],
    "sends": ["udp", "tcp"],
    "notes": "Uses GelfUdpHandler and GelfTcpHandler with a constructed log record, and a GelfFormatter with "
    "include_extra_fields and without the logger's name. The handler warns of a message that it drops; this is "
    "reported as an error.",
}

# The handler warns of a message and of a field that it drops. Only the former makes it send nothing.
warnings.simplefilter("error", gray_elf.MessageTooLarge)


def send(request):
    compression, tcp = request.get("compression", "none"), request["transport"] == "tcp"
    if compression not in ("none", "gzip"):
        raise Unsupported(f"no {compression}, only gzip")
    if tcp and compression != "none":
        raise Unsupported("no compression on TCP")
    record = record_of(request["message"])

    def handler_of(port):
        formatter = gray_elf.GelfFormatter(record_fields=(), include_extra_fields=True)
        formatter.host = request["message"].get("host", formatter.host)
        compress, size = gray_elf.COMPRESS_GZIP if compression == "gzip" else None, request.get("datagram_size", 1420)
        handler = gray_elf.GelfTcpHandler(LOOPBACK, port) if tcp else gray_elf.GelfUdpHandler(LOOPBACK, port, compress, size)
        handler.setFormatter(formatter)
        return handler

    return sent(request, handler_of, lambda handler: handler.handle(record))


serve(HELLO, {"send": send})
