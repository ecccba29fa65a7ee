"""Docker's GELF log driver as a subject of the conformance suite (spec-tests/PROTOCOL.md).

    adapter.py SOCKET IMAGE

Each message is the one line that a container prints; its log driver sends to a socket of this program. The Engine
reports the end of a container only after its log driver has received everything.
"""

import contextlib
import http.client
import io
import json
import socket
import sys
import tarfile

from gelf_subject import Refused, Unsupported, serve

DATAGRAM_SIZE = 1420
FORCED_RECEIVE_BUFFER = getattr(socket, "SO_RCVBUFFORCE", 33)  # exceeds the system's limit; needs root


class Engine:
    def __init__(self, path):
        self.path = path

    def call(self, method, target, body=None, content_type="application/json"):
        """Sends a request to the Engine's HTTP API and returns the body of its answer."""
        connection = http.client.HTTPConnection("localhost", timeout=30)
        with contextlib.closing(connection), socket.socket(socket.AF_UNIX) as connection.sock:
            connection.sock.connect(self.path)
            connection.request(method, target, body, {"Content-Type": content_type})
            response = connection.getresponse()
            answer = response.read()
        if response.status >= 400:
            raise Refused(json.loads(answer)["message"])
        return answer


class Datagrams:
    """Receives the datagrams that the kernel has buffered."""

    scheme = "udp"

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with contextlib.suppress(PermissionError):
            self.socket.setsockopt(socket.SOL_SOCKET, FORCED_RECEIVE_BUFFER, 1 << 23)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.03)

    def received(self):
        datagrams = []
        with contextlib.suppress(TimeoutError):
            while True:
                datagrams.append(self.socket.recv(65536).hex())
        return {"datagrams": datagrams}


class Stream:
    """Receives the bytes of the first connection. The kernel has buffered all of them."""

    scheme = "tcp"

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(3)

    def received(self):
        stream = b""
        connection, _ = self.socket.accept()
        with connection:
            while more := connection.recv(65536):
                stream += more
        return {"stream": stream.hex()}


def labels_of(fields):
    """Returns the labels that the driver sends as fields."""
    for name, value in fields.items():
        if not isinstance(value, str):
            raise Unsupported(f"{name}: a label is a string")
        if "," in name:
            raise Unsupported(f"{name}: the option that lists labels separates them by commas")
    return fields


def container_of(request, image, receiver):
    """Returns the configuration of a container that prints /message."""
    message = request["message"]
    level = message.get("level", 6)
    if level not in (3, 6):
        raise Unsupported("only levels 6 (standard output) and 3 (standard error)")
    if "full_message" in message:
        raise Unsupported("no full_message")
    if "\n" in message.get("short_message", ""):
        raise Unsupported("each line is a message")
    if receiver.scheme == "udp" and request.get("datagram_size", DATAGRAM_SIZE) != DATAGRAM_SIZE:
        raise Unsupported(f"datagrams have up to {DATAGRAM_SIZE} bytes")
    labels = labels_of(message.get("fields", {}))
    options = {"gelf-address": f"{receiver.scheme}://127.0.0.1:{receiver.socket.getsockname()[1]}"}
    compression = request.get("compression", "none")
    # The driver accepts no compression option for TCP, not even none.
    if receiver.scheme == "udp" or compression != "none":
        options["gelf-compression-type"] = compression
    if labels:
        options["labels"] = ",".join(labels)
    output = {6: "", 3: " >&2"}[level]
    return {
        "Image": image,
        "Cmd": ["/bin/busybox", "sh", "-c", f"/bin/busybox cat /message{output}"],
        "Labels": {"gelf-peers": "container", **labels},
        "NetworkDisabled": True,
        "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "gelf", "Config": options}},
    }


def archive_of(line):
    """Returns a tar archive with the line as the file "message"."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("message")
        member.size = len(line)
        tar.addfile(member, io.BytesIO(line))
    return archive.getvalue()


def send(engine, image, request):
    receiver = {"udp": Datagrams, "tcp": Stream}[request["transport"]]()
    with contextlib.closing(receiver.socket):
        container = container_of(request, image, receiver)
        id = json.loads(engine.call("POST", "/containers/create", json.dumps(container)))["Id"]
        try:
            line = request["message"].get("short_message", "").encode() + b"\n"
            engine.call("PUT", f"/containers/{id}/archive?path=/", archive_of(line), "application/x-tar")
            engine.call("POST", f"/containers/{id}/start")
            engine.call("POST", f"/containers/{id}/wait")
            return receiver.received()
        finally:
            engine.call("DELETE", f"/containers/{id}?force=true&v=true")


def hello(engine):
    return {
        "name": "Docker's gelf log driver",
        "version": json.loads(engine.call("GET", "/version"))["Version"],
        "language": "Go",
        "can": ["send"],
        "sends": ["udp", "tcp"],
        "fixed": ["host", "timestamp", "level"],
        "notes": "A container prints each message as a line; fields are its labels. The level is 6 for standard output, "
        "which is the default, and 3 for standard error.",
    }


path, image = sys.argv[1:]
engine = Engine(path)
serve(hello(engine), {"send": lambda request: send(engine, image, request)})
