"""Wireshark's GELF dissector as a subject of the conformance suite (spec-tests/PROTOCOL.md).

Each request uses new sender addresses, and therefore starts with no chunks pending.
"""

import tshark
from dissected import read
from gelf_subject import check, serve

LONGEST_DATAGRAM = 65_507


def layers_of(running, steps):
    """Returns the layers of each datagram."""
    senders = {}
    for step in steps:
        if "hex" in step:
            if step["from"] not in senders:
                senders[step["from"]] = running.new_sender()
            yield running.layers(senders[step["from"]], step.get("at", 0), bytes.fromhex(step["hex"]))


class Subject:
    """The subject. `running` is the tshark of all requests, or None before it has started and after it has ended."""

    running = None

    def receive(self, request):
        check(request["transport"] == "udp", "a dissector of UDP datagrams only")
        is_longer = any(len(step.get("hex", "")) > 2 * LONGEST_DATAGRAM for step in request["steps"])
        check(not is_longer, "longer than a datagram")
        self.running = self.running or tshark.Tshark()
        answer = {"messages": [], "errors": []}
        try:
            for layers in layers_of(self.running, request["steps"]):
                messages, errors = read(layers)
                answer["messages"] += messages
                answer["errors"] += errors
            return answer
        except EOFError:
            ended, self.running = self.running, None
            return {"crashed": f"tshark ended: {ended.end()}"}


hello = {
    "name": "Wireshark",
    "version": tshark.version(),
    "language": "C",
    "can": ["datagrams"],
    "notes": "A dissector, not a receiver: it shows the content of a datagram without a message model, and a member's "
    "value may have any type. Runs through tshark, for UDP only: there is no dissector for GELF over TCP. It "
    "ignores times: incomplete messages never expire.",
}
subject = Subject()
serve(hello, {"receive": subject.receive})
if subject.running:
    subject.running.end()
