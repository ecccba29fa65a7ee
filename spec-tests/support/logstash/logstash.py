#!/usr/bin/env python3
"""Simulates a Logstash pipeline with a GELF input, with the features that deploy/logstash/ecs.conf uses.

Usage: logstash.py PIPELINE.conf [HOST:PORT]

Receives GELF over UDP like Logstash's input 3.4.0 with gelfd2 0.4.2, runs the filters of the file, and writes each
event to stdout as one line of JSON. The default address is 127.0.0.1:12201; for port 0, the system chooses a free
port. The address is printed to stderr. Ends when stdin ends.

The input reproduces the behaviour of the original that decides whether a message arrives: it reads 8,192 bytes of a
datagram; accepts gzip, and zlib only with the header 78 9c; joins the bytes of a chunk id as decimals; uses a
timestamp as the time of the event only if it is a number; renames full_message or short_message to message; and
finally removes the first underscore of each name that begins with one, so that _host overwrites host.

Supported filters are grok (with pygrok), dissect, and mutate with copy. Any other filter or option is an error.
"""

import datetime
import decimal
import gzip
import json
import re
import select
import socket
import sys
import zlib

from pygrok import Grok

READ_SIZE = 8192
MAX_CHUNKS = 128
MAX_PENDING = 10_000


class Config:
    """Parses the configuration language: blocks, hashes, arrays, strings, words, and `if` with `==` and `and`."""

    TOKEN = re.compile(r"""\s*(?:\#[^\n]*\n\s*)*("(?:[^"])*"|'(?:[^'])*'|=>|==|[{}\[\],]|[\w.-]+|$)""")

    def __init__(self, text):
        self.tokens, at = [], 0
        while at < len(text):
            match = self.TOKEN.match(text, at)
            if not match:
                raise SystemExit(f"cannot parse the pipeline at {text[at:at + 40]!r}")
            at = match.end()
            if match.group(1):
                self.tokens.append(match.group(1))
        self.at = 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, expected=None):
        token = self.peek()
        if token is None or expected not in (None, token):
            raise SystemExit(f"invalid pipeline: expected {expected or 'a token'!r}, found {token!r}")
        self.at += 1
        return token

    def sections(self):
        """Yields section names with their statements: ("plugin", name, options) or ("if", conditions, statements)."""
        while self.peek() is not None:
            yield self.take(), self.statements()

    def statements(self):
        found = []
        self.take("{")
        while self.peek() != "}":
            name = self.take()
            if name == "if":
                found.append(("if", self.conditions(), self.statements()))
            else:
                found.append(("plugin", name, self.options()))
        self.take("}")
        return found

    def conditions(self):
        """Returns the conditions, all of which must hold: a field and its required value, or None for any value."""
        found = []
        while True:
            field, value = self.field(), None
            if self.peek() == "==":
                self.take()
                value = self.value()
            found.append((field, value))
            if self.peek() != "and":
                return found
            self.take()

    def field(self):
        path = ""
        while self.peek() == "[":
            path += self.take() + self.take() + self.take("]")
        return path

    def options(self):
        found = {}
        self.take("{")
        while self.peek() != "}":
            name = unquoted(self.take())
            self.take("=>")
            found[name] = self.value()
        self.take("}")
        return found

    def value(self):
        if self.peek() == "{":
            return self.options()
        if self.peek() != "[":
            return unquoted(self.take())
        found = []
        self.take("[")
        while self.peek() != "]":
            found.append(self.value())
            if self.peek() == ",":
                self.take()
        self.take("]")
        return found


def unquoted(token):
    return token[1:-1] if token[0] in "\"'" else token


class Event(dict):
    """An event. A field is named `name` or `[outer][inner]`."""

    @staticmethod
    def path(field):
        return re.findall(r"\[([^]]*)\]", field) or [field]

    def field(self, field):
        value = self
        for name in self.path(field):
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def put(self, field, value):
        *outer, last = self.path(field)
        place = self
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value

    def tag(self, tag):
        self.setdefault("tags", []).append(tag)


class Input:
    """Converts datagrams to events."""

    def __init__(self, options):
        self.type = options.get("type")
        self.chunks = {}

    def events(self, datagram, sender):
        try:
            payload = self.payload(datagram)
            event = None if payload is None else self.event(payload, sender)
        except Exception as error:  # like the original, which skips a message that causes any error
            print(f"skipped a message from {sender}: {error}", file=sys.stderr, flush=True)
            return
        if event is not None:
            yield event

    def payload(self, data):
        if data[:2] == b"\x78\x9c":
            return zlib.decompressobj().decompress(data)
        if data[:2] == b"\x1f\x8b":
            return gzip.decompress(data)
        if data[:2] != b"\x1e\x0f":
            return data
        message, sequence, count = "".join(str(byte) for byte in data[2:10]), data[10], data[11]
        if count > MAX_CHUNKS:
            raise ValueError(f"{count} chunks")
        if len(self.chunks) > MAX_PENDING:
            self.chunks.clear()
        chunks = self.chunks.setdefault(message, {})
        chunks[sequence] = data[12:]
        if len(chunks) < count:
            return None
        del self.chunks[message]
        return self.payload(b"".join(chunks[sequence] for sequence in sorted(chunks)))

    def event(self, payload, sender):
        try:
            event = Event(json.loads(payload.decode("utf-8"), parse_float=decimal.Decimal))
        except ValueError:
            event = Event(message=repr(payload))
            event.tag("_jsonparsefailure")
        event.setdefault("@version", "1")
        event["source_host"] = sender
        moment = datetime.datetime.now(datetime.timezone.utc).timestamp()
        # In Python, true and false are integers.
        if isinstance(event.get("timestamp"), (int, decimal.Decimal)) and not isinstance(event["timestamp"], bool):
            moment = event.pop("timestamp")
        event["@timestamp"] = iso(moment)
        if event.get("full_message"):
            event["message"] = event.pop("full_message")
            if event.get("short_message") == event["message"]:
                del event["short_message"]
        elif event.get("short_message"):
            event["message"] = event.pop("short_message")
        for name in [name for name in event if name.startswith("_")]:
            event[name[1:]] = event.pop(name)
        if self.type is not None:
            event.setdefault("type", self.type)
        return event


def iso(seconds):
    whole = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    nanoseconds = int(decimal.Decimal(seconds) % 1 * 1_000_000_000)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09}Z"


def grok(options):
    only(options, "match", "remove_field")
    ((field, pattern),) = options["match"].items()
    compiled = Grok(pattern)

    def run(event):
        captures = compiled.match(event.field(field)) if isinstance(event.field(field), str) else None
        if captures is None:
            event.tag("_grokparsefailure")
            return
        for name, value in captures.items():
            if value:
                event.put(name, value)
        for name in options.get("remove_field", []):
            event.pop(name, None)

    return run


def dissect(options):
    only(options, "mapping", "tag_on_failure")
    ((field, mapping),) = options["mapping"].items()
    fields = re.findall(r"%\{([^}]*)\}", mapping)
    delimiters = re.split(r"%\{[^}]*\}", mapping)[1:-1]

    def run(event):
        rest, values = event.field(field), []
        for delimiter in delimiters:
            value, found, rest = rest.partition(delimiter)
            if not found:
                for tag in options.get("tag_on_failure", ["_dissectfailure"]):
                    event.tag(tag)
                return
            values.append(value)
        for name, value in zip(fields, values + [rest]):
            event.put(name, value)

    return run


def mutate(options):
    only(options, "copy")

    def run(event):
        for source, destination in options["copy"].items():
            if event.field(source) is not None:
                event.put(destination, event.field(source))

    return run


def only(options, *known):
    for name in options:
        if name not in known:
            raise SystemExit(f"unsupported option {name!r} in the pipeline")


def conditional(conditions, filters):
    def run(event):
        for field, value in conditions:
            if event.field(field) is None or value not in (None, event.field(field)):
                return
        for each in filters:
            each(event)

    return run


def compiled(statements):
    plugins = {"grok": grok, "dissect": dissect, "mutate": mutate}
    filters = []
    for kind, head, body in statements:
        if kind == "if":
            filters.append(conditional(head, compiled(body)))
        elif head in plugins:
            filters.append(plugins[head](body))
        else:
            raise SystemExit(f"unsupported filter {head!r} in the pipeline")
    return filters


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    source, filters = None, []
    with open(sys.argv[1], encoding="utf-8") as file:
        for section, statements in Config(file.read()).sections():
            if section == "input":
                ((_, plugin, options),) = statements
                only(options, "type")
                if plugin != "gelf":
                    raise SystemExit(f"unsupported input {plugin!r} in the pipeline")
                source = Input(options)
            elif section == "filter":
                filters += compiled(statements)
    if source is None:
        raise SystemExit("the pipeline has no input")
    host, _, port = (sys.argv[2] if len(sys.argv) == 3 else "127.0.0.1:12201").rpartition(":")
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
    try:
        udp.bind((host, int(port)))
    except OSError as error:
        raise SystemExit(f"cannot listen on UDP {host}:{port}: {error.strerror}")
    print("listening on {}:{}".format(*udp.getsockname()), file=sys.stderr, flush=True)
    while True:
        readable, _, _ = select.select([udp, sys.stdin], [], [])
        if udp in readable:
            datagram, sender = udp.recvfrom(READ_SIZE)
            for event in source.events(datagram, sender[0]):
                for each in filters:
                    each(event)
                print(json.dumps(event, ensure_ascii=False, default=str), flush=True)
        elif not sys.stdin.buffer.read1(4096):
            return


if __name__ == "__main__":
    main()
