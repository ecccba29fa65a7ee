"""syslog-ng's graylog2() destination as a subject of the conformance suite (spec-tests/PROTOCOL.md).

    adapter.py ROOT     the folder with the unpacked packages of syslog-ng
"""

import sys

from gelf_subject import DATAGRAM_SIZE, Literal, check, serve
from syslog_ng import SyslogNg


def check_for_parser(value):
    """Raises `Unsupported` for a value that json-parser() changes before graylog2() receives it."""
    if isinstance(value, Literal) and value.lstrip("-").isdigit():
        check(-(1 << 63) <= int(value) < 1 << 63, "json-parser() supports only 64-bit integers")
    check(not isinstance(value, str) or "\0" not in value, "json-parser() ends a string at its first null character")


def message_of(request):
    """Returns the input of syslog-ng."""
    message = request["message"]
    check(request.get("compression", "none") == "none", "no compression")
    size = int(request.get("datagram_size", DATAGRAM_SIZE))
    check(request["transport"] == "tcp" or size == DATAGRAM_SIZE, "no datagram size: each message is one datagram")
    check("full_message" not in message, "no full_message")
    given = {"HOST": message.get("host", ""), "MESSAGE": message.get("short_message", "")}
    if "level" in message:
        given["severity"] = message["level"]
    for name, value in message.get("fields", {}).items():
        given[name if name.startswith("_") else "_" + name] = value
    for value in given.values():
        check_for_parser(value)
    return given


def send(request):
    sent = syslog_ng.sent(request["transport"], message_of(request))
    return {"datagrams": sent} if request["transport"] == "udp" else {"stream": sent[0]}


syslog_ng = SyslogNg(sys.argv[1])
hello = {
    "name": "syslog-ng graylog2()",
    "version": syslog_ng.version(),
    "language": "C",
    "can": ["send"],
    "sends": ["udp", "tcp"],
    "fixed": ["timestamp", "datagram_size"],
    "notes": "json-parser() reads the messages and sets HOST, MESSAGE and the fields. A message "
    "always has a level: notice, unless the request sets another.",
}
serve(hello, {"send": send}, literal_numbers=True)
syslog_ng.end()
