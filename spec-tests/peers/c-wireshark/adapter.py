"""Wireshark's GELF dissector as a subject of the conformance suite (spec-tests/PROTOCOL.md).

A tshark process reads an endless capture from a pipe and prints each packet at once as a JSON value. Datagrams are
written to it as IPv4 packets of a capture file. The dissector keeps chunks by pair of addresses; each request uses new
sender addresses, and therefore starts with nothing pending.
"""

import contextlib
import json
import struct
import subprocess

from gelf_subject import Literal, Unsupported, serve

GELF_PORT = 12201
RECEIVER = bytes([192, 0, 2, 1])
LONGEST_DATAGRAM = 65_507
RAW_IP = 101  # the capture file's link type: packets begin with their IP header


class Pairs(list):
    """A JSON object as a list of (name, value), because tshark repeats names."""

    def all(self, name):
        return [value for key, value in self if key == name]


class Tshark:
    """A running tshark, with the number of senders so far."""

    def __init__(self):
        self.senders = 0
        # Layers other than GELF and JSON: unknown data, text that is not JSON, malformed packets.
        layers = "gelf json data data-text-lines _ws.malformed"
        command = ["tshark", "-n", "-l", "-r", "-", "-d", f"udp.port=={GELF_PORT},gelf", "-T", "json", "-J", layers]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdin.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, RAW_IP))

    def new_sender(self):
        self.senders += 1
        return (0x0A000000 + self.senders).to_bytes(4, "big")

    def layers(self, sender, at, datagram):
        """Writes a datagram and returns the dissected layers. Raises EOFError if tshark has ended."""
        udp = struct.pack(">HHHH", 40000, GELF_PORT, 8 + len(datagram), 0) + datagram
        # tshark ignores the checksums.
        packet = struct.pack(">BBHIBBH", 0x45, 0, 20 + len(udp), 0, 64, 17, 0) + sender + RECEIVER + udp
        microseconds = round(at * 1_000_000)
        times = divmod(microseconds, 1_000_000)
        try:
            self.process.stdin.write(struct.pack("<IIII", *times, len(packet), len(packet)) + packet)
            self.process.stdin.flush()
        except BrokenPipeError:
            raise EOFError from None
        # The packets are elements of an endless array. Each ends with the only brace that is indented by two; the
        # separator is printed with the next packet.
        text = b""
        while not text.endswith(b"\n  }"):
            more = self.process.stdout.read1()
            if not more:
                raise EOFError
            text += more
        # tshark prints some bytes that are not UTF-8; Wireshark shows U+FFFD for them.
        packet = json.loads(text.lstrip(b"[,\n").decode(errors="replace"), object_pairs_hook=Pairs)
        return packet.all("_source")[0].all("layers")[0]

    def end(self):
        """Ends tshark and returns its exit status as text."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        return self.process.wait()


def value_of(kind, shown):
    """Returns the value of an entry of the dissected JSON text, or None for an entry that describes another."""
    match kind:
        case "json.object":
            return members(shown)
        case "json.array":
            return [value for value in (value_of(*entry) for entry in Pairs(shown)) if value is not None]
        case "json.value.string":
            return shown
        case "json.value.number":
            return Literal(shown)
        case "json.value.true" | "json.value.false" | "json.value.null":
            return Literal(kind.removeprefix("json.value."))
        case "json.value.nan":
            return "NaN"  # for which an answer has no number


def members(shown):
    """Returns an object. An empty one is shown as an empty text. The last of repeated names counts."""
    result = {}
    name = None
    for kind, entry in Pairs(shown):
        if kind == "json.member":
            name = entry
        elif kind == "json.member_tree":
            result[name] = next(value for value in (value_of(*described) for described in entry) if value is not None)
    return result


def message_of(members_of_object):
    known = ("version", "host", "short_message", "full_message", "timestamp", "level")
    message = {name: value for name, value in members_of_object.items() if name in known}
    message["fields"] = {
        name.removeprefix("_"): value for name, value in members_of_object.items() if name not in known
    }
    return message


def expert_messages(layer):
    """Returns the errors that the dissector reports anywhere in a layer."""
    if isinstance(layer, Pairs):
        for name, entry in layer:
            if name == "_ws.expert.message":
                yield entry
            yield from expert_messages(entry)


def read(layers):
    """Returns the messages that a datagram carries or completes, and its errors."""
    messages = []
    errors = [text for _, layer in layers for text in expert_messages(layer)]
    for json_layer in layers.all("json"):
        objects = json_layer.all("json.object") if isinstance(json_layer, Pairs) else []
        messages.extend(message_of(members(entry)) for entry in objects)
        if not objects:
            # Invalid JSON is shown as text.
            errors.append("JSON array" if isinstance(json_layer, Pairs) else "not JSON: Line-based text data")
    if not layers.all("gelf"):
        errors.append("not GELF: Data" if layers.all("data") else "not GELF: no data")
    return messages, [{"text": text} for text in errors]


def hello():
    line = subprocess.run(["tshark", "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    return {
        "name": "Wireshark",
        # "TShark (Wireshark) 4.0.17 (Git v4.0.17 packaged as 4.0.17-0+deb12u3)."
        "version": line.split(") ", 1)[1].split(" ")[0],
        "language": "C",
        "can": ["datagrams"],
        "notes": "A dissector, not a receiver: it shows the content of a datagram without a message model, and a member's "
        "value may have any type. Runs through tshark, for UDP only: there is no dissector for GELF over TCP. It "
        "ignores times: incomplete messages never expire.",
    }


def layers_of(tshark, steps):
    """Returns the layers of each datagram."""
    senders = {}
    for step in steps:
        if "hex" in step:
            if step["from"] not in senders:
                senders[step["from"]] = tshark.new_sender()
            yield tshark.layers(senders[step["from"]], step.get("at", 0), bytes.fromhex(step["hex"]))


class Subject:
    """The tshark of all requests, or None before it has started and after it has ended."""

    tshark = None

    def receive(self, request):
        if request["transport"] != "udp":
            raise Unsupported("a dissector of UDP datagrams only")
        if any(len(step.get("hex", "")) > 2 * LONGEST_DATAGRAM for step in request["steps"]):
            raise Unsupported("longer than a datagram")
        self.tshark = self.tshark or Tshark()
        answer = {"messages": [], "errors": []}
        try:
            for layers in layers_of(self.tshark, request["steps"]):
                messages, errors = read(layers)
                answer["messages"] += messages
                answer["errors"] += errors
            return answer
        except EOFError:
            ended, self.tshark = self.tshark, None
            return {"crashed": f"tshark ended: {ended.end()}"}


subject = Subject()
serve(hello(), {"receive": subject.receive})
if subject.tshark:
    subject.tshark.end()
