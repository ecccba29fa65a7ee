"""syslog-ng's graylog2() destination as a subject of the conformance suite (spec-tests/PROTOCOL.md).

    adapter.py ROOT     the folder with the unpacked packages of syslog-ng

syslog-ng runs as a child. It reads messages as lines of JSON from two unix sockets, one for UDP and one for TCP, and
sends to sockets of this program. Each message is followed by a sentinel: the bytes received before it are the answer.
"""

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gelf_subject import Literal, Refused, Unsupported, serve, to_text

DATAGRAM_SIZE = 1420  # default of the protocol
SECONDS = 3  # time limit for an answer; longer waits mean that a message is lost

# The parser sets HOST, MESSAGE and the fields, which graylog2() sends if their names start with an underscore.
CONFIGURATION = """
@version: current
@include "{root}/usr/share/syslog-ng/include/scl/graylog2/plugin.conf"
options {{ log-msg-size(16777216); stats-freq(0); }};
parser json {{ json-parser(); }};
rewrite severity {{ set-severity("$severity" condition("$severity" ne "")); }};
log {{
  source {{ unix-stream("{folder}/udp" flags(no-parse) so-passcred(no)); }};
  parser(json); rewrite(severity);
  destination {{ graylog2(host("127.0.0.1") port({udp}) transport(udp)); }};
}};
log {{
  source {{ unix-stream("{folder}/tcp" flags(no-parse) so-passcred(no)); }};
  parser(json); rewrite(severity);
  destination {{ graylog2(host("127.0.0.1") port({tcp}) transport(tcp)); }};
}};
"""


def program_of(root):
    # The unpacked syslog-ng needs explicit paths to its modules.
    modules = next(Path(root, "usr/lib/syslog-ng").glob("*/libjson-plugin.so")).parent
    return [f"{root}/usr/sbin/syslog-ng", f"--module-path={modules}"]


class SyslogNg:
    """A running syslog-ng with its sockets."""

    def __init__(self, root):
        self.cleanup = contextlib.ExitStack()
        self.messages = 0
        folder = self.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="gelf-peers-"))
        self.udp = self.cleanup.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.udp.bind(("127.0.0.1", 0))
        self.udp.settimeout(SECONDS)
        listener = self.cleanup.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.settimeout(SECONDS)
        ports = {"udp": self.udp.getsockname()[1], "tcp": listener.getsockname()[1]}
        configuration = Path(folder, "configuration")
        configuration.write_text(CONFIGURATION.format(root=root, folder=folder, **ports))
        self.log = self.cleanup.enter_context(open(Path(folder, "log"), "w+"))
        self.child = subprocess.Popen(
            # The kernel kills the child when this program ends, even if it is killed.
            ["setpriv", "--pdeathsig", "KILL", *program_of(root), "--foreground", "--stderr", "--no-caps"]
            + [f"--cfgfile={configuration}", f"--persist-file={folder}/persist", f"--pidfile={folder}/pid"]
            + [f"--control={folder}/control"],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )
        self.cleanup.callback(self.kill)
        try:
            self.tcp, _ = listener.accept()
        except TimeoutError:
            self.log.seek(0)
            sys.exit(f"syslog-ng does not start: {self.log.read()}")
        self.cleanup.enter_context(self.tcp)
        self.tcp.settimeout(SECONDS)
        self.inputs = {transport: self.connect(f"{folder}/{transport}") for transport in ports}

    def connect(self, path):
        client = self.cleanup.enter_context(socket.socket(socket.AF_UNIX))
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                client.connect(path)
                return client
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def last_words(self):
        """Returns the last error message of syslog-ng."""
        self.log.seek(0)
        return self.log.read().strip().rpartition("\n")[2] or "nothing came"

    def write(self, transport, message):
        """Sends a message and a sentinel to syslog-ng. Returns the mark of the sentinel."""
        self.messages += 1
        mark = f"the end of message {self.messages}."
        lines = to_text(message) + "\n" + json.dumps({"MESSAGE": mark}) + "\n"
        self.inputs[transport].sendall(lines.encode())
        return mark.encode()

    def datagrams(self, message):
        mark = self.write("udp", message)
        datagrams = []
        while True:
            datagram = self.udp.recv(65536)
            if mark in datagram:
                return datagrams
            datagrams.append(datagram)

    def stream(self, message):
        mark = self.write("tcp", message)
        stream = b""
        while mark not in stream or not stream.endswith(b"\0"):
            more = self.tcp.recv(65536)
            if not more:
                raise ConnectionError
            stream += more
        return stream[: stream.rfind(b"\0", 0, stream.index(mark)) + 1]


def check_for_parser(value):
    """Returns whether json-parser() changes the value before graylog2() receives it."""
    if isinstance(value, Literal):
        if value.lstrip("-").isdigit() and not -(1 << 63) <= int(value) < 1 << 63:
            raise Unsupported("json-parser() supports only 64-bit integers")
    elif isinstance(value, str) and "\0" in value:
        raise Unsupported("json-parser() ends a string at its first null character")


def message_of(request):
    """Returns the input of syslog-ng."""
    message = request["message"]
    if request.get("compression", "none") != "none":
        raise Unsupported("no compression")
    if request["transport"] == "udp" and int(request.get("datagram_size", DATAGRAM_SIZE)) != DATAGRAM_SIZE:
        raise Unsupported("no datagram size: each message is one datagram")
    if "full_message" in message:
        raise Unsupported("no full_message")
    given = {"HOST": message.get("host", ""), "MESSAGE": message.get("short_message", "")}
    if "level" in message:
        given["severity"] = message["level"]
    for name, value in message.get("fields", {}).items():
        given[name if name.startswith("_") else "_" + name] = value
    for value in given.values():
        check_for_parser(value)
    return given


def hello(root):
    shown = subprocess.run([*program_of(root), "--version"], capture_output=True, text=True, check=True).stdout
    version = next(line for line in shown.splitlines() if line.startswith("Installer-Version: "))
    return {
        "name": "syslog-ng graylog2()",
        "version": version.partition(": ")[2],
        "language": "C",
        "can": ["send"],
        "sends": ["udp", "tcp"],
        "fixed": ["timestamp", "datagram_size"],
        "notes": "json-parser() reads the messages and sets HOST, MESSAGE and the fields. A message "
        "always has a level: notice, unless the request sets another.",
    }


class Subject:
    """The syslog-ng of all requests, or None before it has started and after it has failed."""

    syslog_ng = None

    def __init__(self, root):
        self.root = root

    def send(self, request):
        message = message_of(request)
        self.syslog_ng = self.syslog_ng or SyslogNg(self.root)
        try:
            if request["transport"] == "udp":
                return {"datagrams": [datagram.hex() for datagram in self.syslog_ng.datagrams(message)]}
            return {"stream": self.syslog_ng.stream(message).hex()}
        except (TimeoutError, ConnectionError):
            words = self.syslog_ng.last_words()
            self.end()
            raise Refused(words) from None

    def end(self):
        if self.syslog_ng:
            self.syslog_ng.cleanup.close()
        self.syslog_ng = None


subject = Subject(sys.argv[1])
serve(hello(sys.argv[1]), {"send": subject.send}, literal_numbers=True)
subject.end()
