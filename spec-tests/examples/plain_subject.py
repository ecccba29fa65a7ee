#!/usr/bin/env python3
"""A small GELF implementation that uses only Python's standard library, as a subject of the conformance suite.

It shows an adapter without sockets. A test runs the suite on it, and compares the verdicts with those in
plain_subject.json: a fault in gelf-core must not change them.
"""

import gzip
import json
import os
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "adapters", "python"))
from gelf_subject import Literal, Refused, refusals, serve

MAGIC = b"\x1e\x0f"
MEMBERS = ("version", "host", "short_message", "full_message", "timestamp", "level")


def inflated(payload):
    if payload.startswith(b"\x1f\x8b"):
        return gzip.decompress(payload)
    return zlib.decompress(payload) if payload.startswith(b"\x78") else payload


def refused(constant):
    raise ValueError(f"{constant} is not JSON")


def decoded(payload):
    value = json.loads(payload, parse_int=Literal, parse_float=Literal, parse_constant=refused)
    if not isinstance(value, dict) or not value.get("host") or not value.get("short_message"):
        raise ValueError("no host or no short_message")
    message = {name: value[name] for name in MEMBERS if value.get(name) is not None}
    message["fields"] = {name[1:]: text for name, text in value.items() if name.startswith("_")}
    return message


def datagrams(steps):
    pending = {}
    for step in steps:
        datagram = bytes.fromhex(step.get("hex", ""))
        if datagram.startswith(MAGIC) and len(datagram) > 12:
            parts = pending.setdefault((step["from"], datagram[2:10]), {})
            parts[datagram[10]] = datagram[12:]
            if len(parts) == datagram[11]:
                yield b"".join(parts[number] for number in sorted(parts))
        elif datagram:
            yield datagram


def receive(request):
    steps = request["steps"]
    messages, errors = [], []
    if request["transport"] == "tcp":
        stream = b"".join(bytes.fromhex(step.get("hex", "")) for step in steps)
        payloads = iter(frame for frame in stream.split(b"\0") if frame.strip())
    elif request["transport"] == "payload":
        payloads = iter([bytes.fromhex(steps[0]["hex"])])
    else:
        # Unlike a generator, `map` goes on after an exception.
        payloads = map(inflated, datagrams(steps))
    while True:
        try:
            messages.append(decoded(next(payloads)))
        except StopIteration:
            return {"messages": messages, "errors": errors}
        except (ValueError, EOFError, OSError, zlib.error, KeyError, RecursionError) as error:
            errors.append({"text": str(error)[:100]})


def cut(payload, size):
    if len(payload) <= size:
        return {"datagrams": [payload.hex()]}
    parts = [payload[at : at + size - 12] for at in range(0, len(payload), size - 12)]
    if len(parts) > 128:
        raise Refused("too many chunks")
    header = MAGIC + b"12345678"
    return {"datagrams": [(header + bytes([at, len(parts)]) + part).hex() for at, part in enumerate(parts)]}


def encoded(message):
    value = {"version": "1.1", **{name: message[name] for name in MEMBERS if name in message}}
    value.update({f"_{name}": text for name, text in message.get("fields", {}).items()})
    if not value.get("host") or not value.get("short_message"):
        raise Refused("no host or no short_message")
    return json.dumps(value).encode()


def send(request):
    payload = encoded(request["message"])
    if request["transport"] == "tcp":
        return {"stream": (payload + b"\0").hex()}
    compress = {"none": bytes, "gzip": gzip.compress, "zlib": zlib.compress}[request["compression"]]
    return cut(compress(payload), request["datagram_size"])


def chunk(request):
    with refusals():
        return cut(bytes.fromhex(request["payload"]), request["datagram_size"])


serve(
    {
        "name": "Python's standard library",
        "version": "{}.{}".format(*sys.version_info),
        "language": "Python",
        "can": ["payload", "datagrams", "stream", "send", "chunk"],
        "sends": ["udp", "tcp"],
    },
    {"receive": receive, "send": send, "chunk": chunk},
)
