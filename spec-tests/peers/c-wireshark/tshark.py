"""A tshark that dissects datagrams one by one.

The process reads an endless capture from a pipe and immediately prints each packet as a JSON value. Datagrams are
written to the pipe as IPv4 packets of a capture file. The dissector keeps chunks by pair of addresses.
"""

import contextlib
import json
import struct
import subprocess

from dissected import Pairs

GELF_PORT = 12201
RECEIVER = bytes([192, 0, 2, 1])
RAW_IP = 101  # the capture file's link type: packets begin with their IP header


def version():
    line = subprocess.run(["tshark", "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    # "TShark (Wireshark) 4.0.17 (Git v4.0.17 packaged as 4.0.17-0+deb12u3)."
    return line.split(") ", 1)[1].split(" ")[0]


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
        """Ends tshark and returns its exit status."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        return self.process.wait()
