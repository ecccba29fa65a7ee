"""Shared parts of adapters for libraries with handlers for Python's logging, which only support sockets."""

import contextlib
import json
import logging
import os
import socket
import sys
import threading

LOOPBACK = "127.0.0.1"
SECONDS = 2
CHUNK_HEADER = 12

# Logging level for each severity. The libraries have no levels for the others.
LEVELS = {7: logging.DEBUG, 6: logging.INFO, 4: logging.WARNING, 3: logging.ERROR, 2: logging.CRITICAL}


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
        raise Unsupported("full_message is always the traceback of an exception")
    level = message.get("level", 6)
    if level not in LEVELS:
        raise Unsupported(f"no logging level maps to severity {level}")
    with refusals():
        record = logging.getLogger("peer").makeRecord(
            "peer", LEVELS[level], "peer.py", 1, message["short_message"], (), None, "main", message.get("fields")
        )
    if "timestamp" in message:
        record.created = float(message["timestamp"])
    return record


def answer(request, commands):
    command = commands.get(request["do"])
    try:
        if command is None:
            raise Unsupported("the library only sends")
        return command(request)
    except Unsupported as reason:
        return {"unsupported": str(reason)}
    except Refused as error:
        return {"error": {"text": str(error)}}


def serve(hello, commands):
    """Answers the requests on standard input. `commands` maps the requests that the library supports to functions."""
    for line in sys.stdin:
        request = json.loads(line)
        reply = hello if request["do"] == "hello" else {"id": request["id"], **answer(request, commands)}
        print(json.dumps(reply), flush=True)
