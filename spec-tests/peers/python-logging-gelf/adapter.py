"""Adapter of the subject protocol for logging-gelf, whose handlers for Python's logging only support sockets."""

import importlib.metadata

from gelf_subject import LOOPBACK, Unsupported, serve
from logging_gelf.formatters import GELFFormatter
from logging_gelf.handlers import GELFTCPSocketHandler, GELFUDPSocketHandler
from logging_gelf.schemas import GelfSchema
from marshmallow import fields
from python_logging import record_of, sent

HELLO = {
    "name": "logging-gelf",
    "version": importlib.metadata.version("logging-gelf"),
    "language": "Python",
    "can": ["send"],
    "sends": ["udp", "tcp"],
    "fixed": ["host", "datagram_size"],
    "notes": "Uses GELFUDPSocketHandler and GELFTCPSocketHandler with a constructed log record, a formatter that ends "
    "messages over TCP with a null byte, and a schema to which the fields are added. A datagram size cannot be set.",
}


def send(request):
    tcp = request["transport"] == "tcp"
    if request.get("compression", "none") != "none":
        raise Unsupported("no compression")
    record = record_of(request["message"])
    names = request["message"].get("fields", {})
    schema = type("Schema", (GelfSchema,), {name: fields.Raw() for name in names})

    def handler_of(port):
        handler = (GELFTCPSocketHandler if tcp else GELFUDPSocketHandler)(LOOPBACK, port)
        handler.setFormatter(GELFFormatter(schema=schema, null_character=tcp))
        return handler

    return sent(request, handler_of, lambda handler: handler.handle(record))


serve(HELLO, {"send": send})
