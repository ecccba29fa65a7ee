"""Adapter of the subject protocol for asyncgelf, which only supports sockets."""

import asyncio
import builtins
import importlib.metadata
import sys

import asyncgelf
from gelf_subject import LOOPBACK, Refused, Unsupported, capture_tcp, capture_udp, refusals, serve

HELLO = {
    "name": "asyncgelf",
    "version": importlib.metadata.version("asyncgelf"),
    "language": "Python",
    "can": ["send"],
    "sends": ["udp", "tcp"],
    "fixed": ["datagram_size"],
    "notes": "Uses GelfUdp and GelfTcp. The host is its attribute domain. Names of fields are given with the underscore, "
    "which it demands. The text of an error that it returns is reported as an error.",
}
# The library calls exit, which would also close the standard input of this program.
builtins.exit = sys.exit
SENDERS = {"udp": (asyncgelf.GelfUdp, "udp_handler"), "tcp": (asyncgelf.GelfTcp, "tcp_handler")}


def send(request):
    message, compression = request["message"], request.get("compression", "none")
    sender, method = SENDERS[request["transport"]]
    if compression == "gzip" or "full_message" in message:
        raise Unsupported("no gzip, only zlib" if compression == "gzip" else "no full_message")
    fields = {f"_{name}": value for name, value in message.get("fields", {}).items()}
    # The library's default level is 1.
    options = {"level": message.get("level", 6), "compress": compression == "zlib", "additional_field": fields}

    crashes = []

    def log(port):
        try:
            client = sender(LOOPBACK, port, **options)
        except SystemExit as ended:
            crashes.append(f"exit: {ended}")
            return
        client.domain = message.get("host", client.domain)
        with refusals():
            error = asyncio.run(getattr(client, method)(message["short_message"], message.get("timestamp")))
        if error:
            raise Refused(error)

    sent = {"datagrams": capture_udp(log)} if request["transport"] == "udp" else {"stream": capture_tcp(log)}
    return {"crashed": crashes[0]} if crashes else sent


serve(HELLO, {"send": send})
