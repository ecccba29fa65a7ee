"""Adapter of the subject protocol for async-gelf-client, which only supports a UDP socket."""

import asyncio
import contextlib
import importlib.metadata
import io

from asyncgelf import AsyncGelfClient, GelfMessage
from gelf_subject import LOOPBACK, Refused, capture, check, refusals, serve

HELLO = {
    "name": "async-gelf-client",
    "version": importlib.metadata.version("async-gelf-client"),
    "language": "Python",
    "can": ["send"],
    "sends": ["udp"],
    "fixed": ["datagram_size"],
    "notes": "Compresses what is longer than a threshold, here everything for gzip, and prints its errors. A message "
    "always has a level, by default 6. A datagram size cannot be set.",
}


def send(request):
    compression = request.get("compression", "none")
    check(compression != "zlib", "compresses with gzip only")
    threshold = {"none": 1 << 30, "gzip": 0}[compression]
    asked = dict(request["message"])
    members = {name: value for name, value in asked.items() if name != "fields"}
    fields = asked.get("fields", {})
    check(not fields.keys() & {*members, "host", "level", "timestamp"}, "a field has the name of a parameter")
    with refusals():
        message = GelfMessage.create(**members, **fields)

    def log(port):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            asyncio.run(AsyncGelfClient(LOOPBACK, port, threshold).send(message))
        if printed.getvalue():
            raise Refused(printed.getvalue().strip())

    return capture(request, log)


serve(HELLO, {"send": send})
