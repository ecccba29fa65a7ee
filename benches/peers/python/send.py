"""Sends messages over UDP to the loopback: send.py PORT COUNT MESSAGES.json pygelf|graypy"""

import itertools
import json
import logging
import sys

port, count, path, library = sys.argv[1:]
with open(path, encoding="utf-8") as file:
    content = json.load(file)
fields, extra = content["fields"], None
if library == "pygelf":
    from pygelf import GelfUdpHandler

    constant = {"_" + name: value for name, value in fields.items()}
    handler = GelfUdpHandler("127.0.0.1", int(port), static_fields=constant)
    handler.domain = content["host"]
else:
    from graypy import GELFUDPHandler

    # The handler has no constant fields. By default it adds fields about the call, such as file and line.
    handler = GELFUDPHandler("127.0.0.1", int(port), localname=content["host"], debugging_fields=False)
    extra = fields

logger = logging.getLogger("sender")
logger.propagate = False
logger.setLevel(logging.INFO)
logger.addHandler(handler)
for line in itertools.islice(itertools.cycle(content["lines"]), int(count)):
    logger.info(line, extra=extra)
handler.close()
