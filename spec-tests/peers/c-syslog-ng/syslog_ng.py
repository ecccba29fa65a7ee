"""A syslog-ng whose graylog2() destinations send to sockets of this program.

syslog-ng runs as a child. It reads messages as lines of JSON from two unix sockets, one for UDP and one for TCP. Each
message is followed by a sentinel: the bytes received before it are those of the message.
"""

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gelf_subject import Refused, to_text

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


class SyslogNg:
    """The syslog-ng of all requests. It starts with the first request, and again after it has failed."""

    def __init__(self, root):
        self.root = root
        # The unpacked syslog-ng needs explicit paths to its modules.
        modules = next(Path(root, "usr/lib/syslog-ng").glob("*/libjson-plugin.so")).parent
        self.program = [f"{root}/usr/sbin/syslog-ng", f"--module-path={modules}"]
        self.running = None

    def version(self):
        command = [*self.program, "--version"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        line = next(line for line in shown.splitlines() if line.startswith("Installer-Version: "))
        return line.partition(": ")[2]

    def sent(self, transport, message):
        """Returns what graylog2() sends for a message: datagrams, or one stream."""
        self.running = self.running or Running(self.root, self.program)
        receive = self.running.datagrams if transport == "udp" else self.running.stream
        try:
            return [part.hex() for part in receive(message)]
        except (TimeoutError, ConnectionError):
            words = self.running.last_words()
            self.end()
            raise Refused(words) from None

    def end(self):
        if self.running:
            self.running.cleanup.close()
        self.running = None


class Running:
    """A running syslog-ng with its sockets."""

    def __init__(self, root, program):
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
            ["setpriv", "--pdeathsig", "KILL", *program, "--foreground", "--stderr", "--no-caps"]
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
        return [stream[: stream.rfind(b"\0", 0, stream.index(mark)) + 1]]
