"""A client of the Docker Engine's HTTP API. It runs containers that print one line."""

import contextlib
import http.client
import io
import json
import socket
import tarfile

from gelf_subject import Refused


class Engine:
    def __init__(self, path):
        self.path = path

    def version(self):
        return json.loads(self.call("GET", "/version"))["Version"]

    def call(self, method, target, body=None, content_type="application/json"):
        """Sends a request to the Engine and returns the body of its answer."""
        connection = http.client.HTTPConnection("localhost", timeout=30)
        with contextlib.closing(connection), socket.socket(socket.AF_UNIX) as connection.sock:
            connection.sock.connect(self.path)
            connection.request(method, target, body, {"Content-Type": content_type})
            response = connection.getresponse()
            answer = response.read()
        if response.status >= 400:
            raise Refused(json.loads(answer)["message"])
        return answer

    def print_line(self, image, line, output, labels, options):
        """Runs a container that prints this line, and waits for its end. `options` are those of its log driver.

        The Engine reports the end only after the log driver has received everything.
        """
        container = {
            "Image": image,
            "Cmd": ["/bin/busybox", "sh", "-c", f"/bin/busybox cat /message{output}"],
            "Labels": {"gelf-peers": "container", **labels},
            "NetworkDisabled": True,
            "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "gelf", "Config": options}},
        }
        id = json.loads(self.call("POST", "/containers/create", json.dumps(container)))["Id"]
        try:
            archive = archive_of(line.encode() + b"\n")
            self.call("PUT", f"/containers/{id}/archive?path=/", archive, "application/x-tar")
            self.call("POST", f"/containers/{id}/start")
            self.call("POST", f"/containers/{id}/wait")
        finally:
            self.call("DELETE", f"/containers/{id}?force=true&v=true")


def archive_of(line):
    """Returns a tar archive with the line as the file "message"."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("message")
        member.size = len(line)
        tar.addfile(member, io.BytesIO(line))
    return archive.getvalue()
