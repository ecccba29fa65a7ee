"""Docker's GELF log driver as a subject of the conformance suite (spec-tests/PROTOCOL.md).

    adapter.py SOCKET IMAGE

Each message is the one line that a container prints; its log driver sends to a socket of this program.
"""

import sys

from engine import Engine
from gelf_subject import DATAGRAM_SIZE, LOOPBACK, capture, check, serve

SECONDS = 30  # time limit for a container


def check_message(message):
    """Raises `Unsupported` for a message that no line of a container becomes."""
    check(message.get("level", 6) in (3, 6), "only levels 6 (standard output) and 3 (standard error)")
    check("full_message" not in message, "no full_message")
    check("\n" not in message.get("short_message", ""), "each line is a message")
    for name, value in message.get("fields", {}).items():
        check(isinstance(value, str), f"{name}: a label is a string")
        check("," not in name, f"{name}: the option that lists labels separates them by commas")


def send(request):
    message, transport, compression = request["message"], request["transport"], request.get("compression", "none")
    check_message(message)
    size = request.get("datagram_size", DATAGRAM_SIZE)
    check(transport == "tcp" or size == DATAGRAM_SIZE, f"datagrams have up to {DATAGRAM_SIZE} bytes")
    labels = message.get("fields", {})
    options = {"labels": ",".join(labels)} if labels else {}
    # The driver accepts no compression option for TCP, not even none.
    if transport == "udp" or compression != "none":
        options["gelf-compression-type"] = compression

    def log(port):
        options["gelf-address"] = f"{transport}://{LOOPBACK}:{port}"
        output = {6: "", 3: " >&2"}[message.get("level", 6)]
        engine.print_line(image, message.get("short_message", ""), output, labels, options)

    return capture(request, log, SECONDS)


path, image = sys.argv[1:]
engine = Engine(path)
hello = {
    "name": "Docker's gelf log driver",
    "version": engine.version(),
    "language": "Go",
    "can": ["send"],
    "sends": ["udp", "tcp"],
    "fixed": ["host", "timestamp", "level"],
    "notes": "A container prints each message as a line; fields are its labels. The level is 6 for standard output, "
    "which is the default, and 3 for standard error.",
}
serve(hello, {"send": send})
