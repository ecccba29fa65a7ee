"""Checks the book: its links and names, and the routes, configurations and commands of its pages.

Usage: check.py ROUTER BOOK

ROUTER is the program gelf-router, BOOK the folder of the book that mdBook has built. Runs in the root of the
repository, with an Engine at DOCKER_HOST.

A block of code with the info string `console,run` has commands behind `$ ` and their output. Each line of the
output has to appear, in this order, where `…` stands for any text. With `console,run,status=N`, the exit
status is N, otherwise 0.
"""

import contextlib
import glob
import html.parser
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from markdown import blocks, headings, links, resolve, section, spans

PAGES = sorted(glob.glob("docs/**/*.md", recursive=True))
# The addresses of the HTTP API and of an audit in the pages. The commands get other ports, which are free.
API, AUDIT = "127.0.0.1:8000", "127.0.0.1:12299"
ROUTE = re.compile(r"(?:multiline\+)?gelf(?:\+[a-z]+)?://[\w$][^\s'\"`]*")
ANCHOR = re.compile(r'<a id="([^"]+)">')
METRIC = re.compile(r"gelf_router_[a-z_]+[a-z]")

problems = []


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def check_links():
    """Each relative link of a Markdown file of the repository leads to a file, and to a heading or an id of it."""
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        check=True, capture_output=True, text=True,
    ).stdout.split()
    anchors, count = {}, 0
    for source in files:
        for _, _, _, target in links(read(source)):
            # Names of Rust items are links in rustdoc.
            if re.match(r"[a-z]+:", target) or "::" in target:
                continue
            count += 1
            path, anchor = resolve(target, source)
            if not os.path.exists(path):
                problems.append(f"{source}: the link {target} leads to nothing")
            elif anchor and path.endswith(".md"):
                if path not in anchors:
                    text = read(path)
                    anchors[path] = {name for _, _, name in headings(text)} | set(ANCHOR.findall(text))
                if anchor not in anchors[path]:
                    problems.append(f"{source}: {path} has no heading #{anchor}")
    print(f"{count} links in {len(files)} Markdown files")


class Page(html.parser.HTMLParser):
    """The ids and the links of a page of the book."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(read(path))

    def handle_starttag(self, _, attributes):
        attributes = dict(attributes)
        self.ids.add(attributes.get("id"))
        self.links += [attributes[name] for name in ("href", "src") if attributes.get(name)]


def check_book(book):
    """Each relative link of the book leads to a file of it, and to an id. Each page is in the book."""
    for page in PAGES:
        built = os.path.splitext(os.path.relpath(page, "docs"))[0]
        built = re.sub(r"(^|/)README$", r"\1index", built) + ".html"
        if page != "docs/SUMMARY.md" and not os.path.exists(os.path.join(book, built)):
            problems.append(f"{page} is not in docs/SUMMARY.md")
    pages = {path: Page(path) for path in glob.glob(f"{book}/**/*.html", recursive=True)}
    count = 0
    for path, page in pages.items():
        # The page for unknown addresses has links from the root of the server, and print.html has all pages.
        if os.path.basename(path) in ("404.html", "print.html"):
            continue
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            count += 1
            target, anchor = resolve(link, path)
            if not os.path.isfile(target):
                problems.append(f"{path}: the link {link} leads to nothing")
            elif anchor and target in pages and anchor not in pages[target].ids:
                problems.append(f"{path}: {target} has no #{anchor}")
    print(f"{count} links in {len(pages)} pages of the book")


def check_names():
    """Each metric in the pages exists. The pages describe each alert, and each problem of /health."""
    readme = read("docker-source/examples/router/README.md")
    metrics = set(re.findall(r"^\| `(gelf_router_\w+)` \|", readme, re.MULTILINE))
    for page in PAGES:
        for metric in sorted(set(METRIC.findall(read(page))) - metrics):
            problems.append(f"{page}: {metric} is no metric")
    alerts = set(re.findall(r"alert: (\w+)", read("deploy/prometheus/alerts.yaml")))
    described = set(re.findall(r"`(GelfRouter\w+)`", read("docs/alerts.md")))
    for alert in sorted(alerts ^ described):
        problems.append(f"docs/alerts.md: {alert} is not described, or does not exist")
    health = read("docker-source/examples/router/src/http/health.rs")
    symptoms = read("docs/troubleshooting.md")
    found = re.findall(r'problem(?:": | = )"([^"]+)"', health)
    if not found:
        problems.append("no problem is found in http/health.rs")
    for problem in found:
        if f"`{problem}`" not in symptoms:
            problems.append(f"docs/troubleshooting.md: the problem \"{problem}\" of /health is missing")


def check_routes(router):
    """The router accepts each route of the pages and of deploy/, and each block of TOML in their Markdown."""
    found = {}
    for path in [*PAGES, *glob.glob("deploy/**/*.*", recursive=True)]:
        text = read(path)
        if path.endswith(".md"):
            code = spans(text)
            for _, info, body in blocks(text):
                if re.split(r"[\s,]", info)[0] == "toml":
                    check_configuration(router, path, body)
                # A command that fails may show a route that is refused.
                if "status=" not in info:
                    code.append(body)
            text = "\n".join(code)
        for route in ROUTE.findall(text):
            # Not a whole route, such as gelf://HOST[:PORT].
            if not re.search(r"[\[…]|\.\.\.", route):
                found.setdefault(route.rstrip(",;:").replace(":PORT", ":12201"), path)
    for route, path in found.items():
        accept(f"{path}: {route}", [router, "--print-config", route])
    print(f"{len(found)} routes")


def check_configuration(router, path, text):
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        accept(f"{path}: configuration", [router, "--config", file.name, "--print-config"])


def accept(subject, command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 or done.stderr:
        problems.append(f"{subject}: {done.stderr.strip()}")


def commands(body):
    """Yields (command, lines of output) for a block of code with commands behind `$ `."""
    command, output = None, []
    for line in body.splitlines():
        if command is not None and command.endswith("\\"):
            command = command.removesuffix("\\") + line.strip()
        elif line.startswith("$ "):
            if command is not None:
                yield command, output
            command, output = line.removeprefix("$ "), []
        else:
            output.append(line)
    if command is not None:
        yield command, output


def matches(expected, output):
    """Returns the first expected line that the output lacks, or None."""
    lines = iter(output)
    for line in expected:
        pattern = ".*".join(map(re.escape, line.split("…")))
        if not any(re.fullmatch(pattern, found.rstrip()) for found in lines):
            return line
    return None


def check_reasons(api):
    """The page of the symptoms explains each reason for which messages are dropped."""
    with urllib.request.urlopen(f"http://{api}/metrics") as answer:
        metrics = answer.read().decode()
    reasons = set(re.findall(r'_route_messages_(?:dropped|not_queued)_total{.*reason="(\w+)"', metrics))
    section_of_reasons = section(read("docs/troubleshooting.md"), "messages-are-dropped")
    for reason in sorted(reasons) or ["(none found)"]:
        if f"`{reason}`" not in section_of_reasons:
            problems.append(f"docs/troubleshooting.md: the reason {reason} of dropped messages is missing")


def check_commands(router):
    """Each command of a block that is marked gives the output that the block shows."""
    count = 0
    audit = f"127.0.0.1:{free_port()}"
    with running(router) as api, tempfile.TemporaryDirectory() as folder:
        path = f"{os.path.dirname(router)}:{os.environ['PATH']}"
        check_reasons(api)
        environment = {**os.environ, "PATH": path, "NO_COLOR": "1"}
        for page in PAGES:
            for number, info, body in blocks(read(page)):
                if not info.startswith("console,run"):
                    continue
                status = int(info.partition("status=")[2] or 0)
                for command, expected in commands(body):
                    count += 1
                    script = command.replace(API, api).replace(AUDIT, audit)
                    done = subprocess.run(
                        ["timeout", "60", "bash", "-c", script], cwd=folder, env=environment, text=True,
                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    )
                    output = done.stdout.replace(api, API).replace(audit, AUDIT)
                    missing = matches(expected, output.splitlines())
                    if done.returncode != status or missing is not None:
                        problems.append(
                            f"{page}:{number}: `{command}` ended with status {done.returncode}; "
                            f"its output lacks {missing!r}:\n{output}"
                        )
    print(f"{count} commands")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@contextlib.contextmanager
def running(router):
    """Runs a router with the HTTP API, and yields the address of the API."""
    port = free_port()
    destination = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    destination.bind(("127.0.0.1", 0))
    route = f"gelf://127.0.0.1:{destination.getsockname()[1]}?filter.name=shop-*"
    process = subprocess.Popen([router, "--http", f"127.0.0.1:{port}", route], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
        destination.close()


router, book = os.path.abspath(sys.argv[1]), sys.argv[2]
check_links()
check_book(book)
check_names()
check_routes(router)
check_commands(router)
if problems:
    sys.exit("\n".join(problems))
