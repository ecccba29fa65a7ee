"""Shared parts of adapters for handlers of Python's logging, which only support sockets."""

import contextlib
import logging
import sys

from gelf_subject import Refused, Unsupported, capture, describe, refusals

# Logging levels by severity. The libraries have no levels for the other severities.
LEVELS = {7: logging.DEBUG, 6: logging.INFO, 4: logging.WARNING, 3: logging.ERROR, 2: logging.CRITICAL}


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


def sent(request, handler_of, call):
    """Calls `call` with the handler that `handler_of` makes for a port, and returns the answer with the sent bytes.

    By default, a handler prints an error and drops the record. Here, this is an error of the library.
    """

    def log(port):
        failures = []
        handler = handler_of(port)
        handler.handleError = lambda _: failures.append(describe(sys.exc_info()[1]))
        with contextlib.closing(handler), refusals():
            call(handler)
        if failures:
            raise Refused(failures[0])

    return capture(request, log)
