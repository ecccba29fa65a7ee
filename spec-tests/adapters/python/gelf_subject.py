"""The subject protocol of the GELF conformance suite (spec-tests/PROTOCOL.md), for adapters in Python.

An adapter calls `serve` with its answer to "hello" and a function for each request that its library supports:

    def send(request):
        def log(port):
            library.Sender("127.0.0.1", port).send(request["message"])

        return capture(request, log)

    serve({"name": "library", "version": "1.0", "language": "Python", "can": ["send"], "sends": ["udp"]}, {"send": send})
"""

import contextlib
import json
import os
import socket
import sys
import threading

LOOPBACK = "127.0.0.1"
CHUNK_HEADER = 12

#: Size of datagrams if a request has none.
DATAGRAM_SIZE = 1420

#: Seconds without bytes or a connection after which a capture fails.
SECONDS = 2


class Unsupported(Exception):
    """A request that the library does not support."""


class Refused(Exception):
    """An error of the library."""


class Literal(str):
    """A number as its JSON text, with all its digits, or another JSON text to copy into an answer."""


def check(supported, why):
    """Raises `Unsupported` with this reason unless `supported` is true."""
    if not supported:
        raise Unsupported(why)


def describe(error):
    return f"{type(error).__name__}: {error}"[:200]


@contextlib.contextmanager
def refusals():
    """Wraps calls of the library, to distinguish its errors from those of the adapter."""
    try:
        yield
    except Exception as error:
        raise Refused(describe(error)) from error


def capture(request, send, seconds=SECONDS):
    """Captures what `send` sends to a port, and returns the answer: datagrams, or the bytes of a connection.

    A `chunk` request has no transport, and asks for datagrams.
    """
    if request.get("transport") == "tcp":
        return {"stream": capture_tcp(send, seconds)}
    return {"datagrams": capture_udp(send, seconds)}


def capture_udp(send, seconds=SECONDS):
    """Calls `send` with the port of a UDP socket, and returns the datagrams that it sent before it returned."""
    received = []
    end = os.urandom(16)

    failures = []

    def receive():
        try:
            while (datagram := receiver.recv(65536)) != end:
                received.append(datagram)
        except OSError as failure:
            failures.append(failure)

    with socket.socket(type=socket.SOCK_DGRAM) as receiver, socket.socket(type=socket.SOCK_DGRAM) as marker:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        receiver.bind((LOOPBACK, 0))
        receiver.settimeout(seconds)
        reader = threading.Thread(target=receive)
        reader.start()
        try:
            send(receiver.getsockname()[1])
        finally:
            # The loopback keeps the order, so this is the last datagram.
            marker.sendto(end, receiver.getsockname())
            reader.join()
    # Without this, datagrams that came after the time limit would seem not to have been sent.
    if failures:
        raise failures[0]
    return [datagram.hex() for datagram in received]


def capture_tcp(send, seconds=SECONDS):
    """Calls `send` with the port of a TCP server, and returns the bytes received until the connection is closed."""
    received = bytearray()
    failures = []

    def receive():
        try:
            while True:
                connection, peer = server.accept()
                with connection:
                    connection.settimeout(seconds)
                    if peer == marker.getsockname():
                        return
                    while part := connection.recv(65536):
                        received.extend(part)
        except OSError as failure:
            failures.append(failure)

    with socket.create_server((LOOPBACK, 0)) as server, socket.socket() as marker:
        marker.bind((LOOPBACK, 0))
        server.settimeout(seconds)
        reader = threading.Thread(target=receive)
        reader.start()
        try:
            send(server.getsockname()[1])
        finally:
            # This connection ends the reader. It comes after those of the library.
            marker.connect(server.getsockname())
            reader.join()
    if failures:
        raise failures[0]
    return received.hex()


def message_of(decoded):
    """Makes a message for an answer from the members of an object that a library has decoded."""
    known = ("version", "host", "short_message", "full_message", "timestamp", "level")
    message = {name: value for name, value in decoded.items() if name in known}
    message["fields"] = {name.removeprefix("_"): value for name, value in decoded.items() if name not in known}
    return message


def to_text(value):
    """Returns JSON text in which a Literal stands as it is."""
    if isinstance(value, Literal):
        return value
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{to_text(entry)}" for name, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(to_text, value)) + "]"
    return json.dumps(value)


def answer(request, commands):
    try:
        if request["do"] not in commands:
            raise Unsupported(f"the library does not {request['do']}")
        return commands[request["do"]](request)
    except Unsupported as reason:
        return {"unsupported": str(reason)}
    except Refused as error:
        return {"error": {"text": str(error)}}


def serve(hello, commands, literal_numbers=False):
    """Answers the requests on standard input until it ends.

    `commands` maps the requests that the library supports to functions from a request to the members of its answer.
    With `literal_numbers`, the numbers of a request are of the type `Literal`.
    """
    numbers = dict.fromkeys(("parse_int", "parse_float", "parse_constant"), Literal) if literal_numbers else {}
    for line in sys.stdin:
        request = json.loads(line, **numbers)
        reply = hello if request["do"] == "hello" else {"id": request["id"], **answer(request, commands)}
        print(to_text(reply), flush=True)
