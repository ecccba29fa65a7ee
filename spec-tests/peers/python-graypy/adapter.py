"""Adapter of the subject protocol for graypy, whose handlers for Python's logging only support sockets."""

import contextlib
import importlib.metadata
import json
import logging
import os
import socket
import sys
import threading
import warnings

from graypy import GELFTCPHandler, GELFUDPHandler
from graypy.handler import GELFChunkOverflowWarning, GELFWarningChunker

LOOPBACK = "127.0.0.1"
SECONDS = 2
CHUNK_HEADER = 12

# Severity that graypy sends for each logging level. It sends other levels as their number in logging.
LEVELS = {7: logging.DEBUG, 6: logging.INFO, 4: logging.WARNING, 3: logging.ERROR, 2: logging.CRITICAL}

HELLO = {
    "name": "graypy",
    "version": importlib.metadata.version("graypy"),
    "language": "Python",
    "can": ["send", "chunk"],
    "sends": ["udp", "tcp"],
    "notes": "Asked through GELFUDPHandler, with its usual GELFWarningChunker, and GELFTCPHandler with a log record made "
    "for the purpose. The handler prints or warns of what goes wrong and drops the record; that is an error here. "
    "chunk is the handler's send.",
}


class Unsupported(Exception):
    """A request that the library does not support."""


class Refused(Exception):
    """An error of the library."""


def describe(error):
    return f"{type(error).__name__}: {error}"[:200]


@contextlib.contextmanager
def refusals():
    """Wraps calls of the library, to distinguish its errors from those of the adapter."""
    try:
        yield
    except Exception as error:
        raise Refused(describe(error)) from error


def datagrams_of(send):
    """Calls `send` with the port of a UDP socket, and returns the received datagrams."""
    received = []
    end = os.urandom(16)

    def receive():
        while (datagram := receiver.recv(65536)) != end:
            received.append(datagram)

    with socket.socket(type=socket.SOCK_DGRAM) as receiver, socket.socket(type=socket.SOCK_DGRAM) as marker:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        receiver.bind((LOOPBACK, 0))
        receiver.settimeout(SECONDS)
        reader = threading.Thread(target=receive)
        reader.start()
        try:
            send(receiver.getsockname()[1])
        finally:
            # The loopback keeps the order, so this is the last datagram.
            marker.sendto(end, receiver.getsockname())
            reader.join()
    return [datagram.hex() for datagram in received]


def stream_of(send):
    """Calls `send` with the port of a TCP server, and returns the bytes received until the connection is closed."""
    received = bytearray()

    def receive():
        while True:
            connection, peer = server.accept()
            with connection:
                connection.settimeout(SECONDS)
                if peer == marker.getsockname():
                    return
                while part := connection.recv(65536):
                    received.extend(part)

    with socket.create_server((LOOPBACK, 0)) as server, socket.socket() as marker:
        marker.bind((LOOPBACK, 0))
        server.settimeout(SECONDS)
        reader = threading.Thread(target=receive)
        reader.start()
        try:
            send(server.getsockname()[1])
        finally:
            # A second connection ends the reader if the library made none.
            marker.connect(server.getsockname())
            reader.join()
    return received.hex()


def record_of(message):
    """Returns the record that a logger would create for this message."""
    if "full_message" in message:
        raise Unsupported("full_message is the traceback of an exception, and no other text")
    level = message.get("level", 6)
    if level not in LEVELS:
        raise Unsupported(f"no logging level becomes severity {level}")
    with refusals():
        record = logging.getLogger("peer").makeRecord(
            "peer", LEVELS[level], "peer.py", 1, message["short_message"], (), None, "main", message.get("fields")
        )
    if "timestamp" in message:
        record.created = float(message["timestamp"])
    return record


def chunker_of(request):
    return GELFWarningChunker(chunk_size=request.get("datagram_size", 1420) - CHUNK_HEADER)


def handle(handler, call):
    """Calls the handler, and raises its output and warnings as errors, because it drops the record."""
    failures = []
    handler.handleError = lambda _: failures.append(describe(sys.exc_info()[1]))
    with contextlib.closing(handler), refusals(), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        call()
    overflows = (warning for warning in warned if issubclass(warning.category, GELFChunkOverflowWarning))
    failures.extend(describe(warning.message) for warning in overflows)
    if failures:
        raise Refused(failures[0])


def send(request):
    message = request["message"]
    compression = request.get("compression", "none")
    if compression not in ("none", "zlib"):
        raise Unsupported(f"no {compression}, only zlib")
    if request["transport"] == "tcp" and compression != "none":
        raise Unsupported("no compression on TCP")
    record = record_of(message)
    host = message.get("host")

    def log_udp(port):
        chunker = chunker_of(request)
        handler = GELFUDPHandler(LOOPBACK, port, chunker, compress=compression == "zlib", localname=host)
        handle(handler, lambda: handler.handle(record))

    def log_tcp(port):
        handler = GELFTCPHandler(LOOPBACK, port, localname=host)
        handle(handler, lambda: handler.handle(record))

    if request["transport"] == "udp":
        return {"datagrams": datagrams_of(log_udp)}
    return {"stream": stream_of(log_tcp)}


def chunk(request):
    def cut(port):
        handler = GELFUDPHandler(LOOPBACK, port, chunker_of(request))
        handle(handler, lambda: handler.send(bytes.fromhex(request["payload"])))

    return {"datagrams": datagrams_of(cut)}


def answer(request):
    try:
        if request["do"] == "send":
            return send(request)
        if request["do"] == "chunk":
            return chunk(request)
        raise Unsupported("graypy only sends")
    except Unsupported as reason:
        return {"unsupported": str(reason)}
    except Refused as error:
        return {"error": {"text": str(error)}}


for line in sys.stdin:
    request = json.loads(line)
    reply = HELLO if request["do"] == "hello" else {"id": request["id"], **answer(request)}
    print(json.dumps(reply), flush=True)
