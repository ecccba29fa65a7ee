"""Checks the page of the router's HTTP API; see scripts/check-router-page.

Usage: router_page.py BROWSER ROUTER ENGINE CONTAINERS SCRATCH SCREENSHOTS
"""
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request

from browser import ELEMENT, ENTER, SPACE, TAB, Wrong, checked, drive, fits, hold, quiet

BROWSER, ROUTER, ENGINE, CONTAINERS, SCRATCH, SCREENSHOTS = sys.argv[1:]
CONTAINERS = int(CONTAINERS)
# The Engine has four containers without a number, two of which are not followed.
ALL = CONTAINERS + 4
# The CPU time of the router is measured over this number of seconds. An open page must add less than this share of a
# core.
MEASURED, ALLOWED = 20, 0.01
# A line that would act on a terminal, on a page, and on the direction of the text.
HOSTILE = "\x1b[31mred\x1b[0m \x1b]0;title\x07 <img src=x onerror=alert(1)> \u202egnp.exe"
SAFE = "red \\u{1b}]0;title\\u{7} <img src=x onerror=alert(1)> \\u{202e}gnp.exe"


class Receiver:
    """A receiver of GELF over TCP, which counts messages, can be killed, and comes back at the same port."""

    def __init__(self):
        self.port, self.messages, self.open = 0, 0, []
        self.listen()

    def listen(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        self.listener.listen()
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                stream, _ = listener.accept()
            except OSError:
                return
            self.open.append(stream)
            threading.Thread(target=self.receive, args=(stream,), daemon=True).start()

    def receive(self, stream):
        try:
            while data := stream.recv(65536):
                self.messages += data.count(b"\0")
        except OSError:
            pass

    def kill(self):
        # A thread that waits in accept keeps the socket open until the socket is shut down.
        for stream in (self.listener, *self.open):
            try:
                stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            stream.close()
        self.open = []


class Host:
    """A simulated Engine and a router with these routes."""

    def __init__(self, *routes):
        self.engine = subprocess.Popen([ENGINE, str(CONTAINERS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        environment = dict(os.environ, DOCKER_HOST=self.engine.stdout.readline().strip())
        self.router = subprocess.Popen([ROUTER, "--http=127.0.0.1:0", *routes], env=environment, stderr=subprocess.PIPE, text=True)
        for line in self.router.stderr:
            if found := re.search(r"the HTTP API is at (http://[\d.:]+)", line):
                break
        else:
            raise Wrong("the router did not start")
        self.address = found[1] + "/"
        # The pipe must not become full.
        threading.Thread(target=self.router.stderr.read, daemon=True).start()
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def command(self, text):
        self.engine.stdin.write(text + "\n")
        self.engine.stdin.flush()

    def request(self, path="", data=None):
        return self.opener.open(self.address + path, timeout=30, data=data)

    def status(self):
        with self.request("status") as answer:
            return json.load(answer)

    def until(self, condition, failure):
        end = time.monotonic() + 30
        while not condition(status := self.status()):
            hold(time.monotonic() < end, f"{failure}: {json.dumps(status['account'])}")
            time.sleep(0.1)
        return status

    def cpu(self):
        """Returns the CPU time of the router, in seconds."""
        with open(f"/proc/{self.router.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        for process in (self.router, self.engine):
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()


# Functions that the checks run in the page.
ROWS = "return [...document.querySelectorAll(`#${arguments[0]} tbody tr`)].map((row) => [...row.children].map((cell) => cell.innerText.trim()))"
NUMBER = "return Number([...document.querySelectorAll('#equation b')][arguments[0]].textContent.replaceAll(',', ''))"
# Adds up the numbers of each side of the equation. The terms before the sign "=" are the left side.
SIDES = """const sides = [0, 0];
    let side = 0;
    for (const term of document.querySelectorAll("#equation > div")) {
      if (term.querySelector("i").textContent === "=") side = 1;
      sides[side] += Number(term.querySelector("b").textContent.replaceAll(",", ""));
    }
    return sides;"""
# Returns the least contrast of a text with the background behind it, and that text.
CONTRAST = """const parse = (color) => color.match(/[\\d.]+/g).map(Number);
    const part = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const light = ([red, green, blue]) => 0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue);
    const behind = (node) => {
      for (; node; node = node.parentElement) {
        const color = parse(getComputedStyle(node).backgroundColor);
        if (color[3] !== 0) return color;
      }
      return [255, 255, 255];
    };
    const found = [];
    for (const node of document.querySelectorAll("body *")) {
      if (!node.offsetParent || ![...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim())) continue;
      const [one, other] = [light(parse(getComputedStyle(node).color)), light(behind(node))].sort((a, b) => b - a);
      found.push([(one + 0.05) / (other + 0.05), node.tagName + " " + node.textContent.slice(0, 30)]);
    }
    return found.sort((a, b) => a[0] - b[0])[0];"""


def verdict(session):
    return session.run("return [document.getElementById('word').textContent, document.getElementById('verdict').className]")


def says(session, wanted, kind):
    session.until("return document.getElementById('word').textContent.match(arguments[0])", wanted)
    text, shown = verdict(session)
    hold(re.search(wanted, text) and shown == kind, f"the verdict is '{text}' ({shown}), not '{wanted}' ({kind})")
    return text


def focused(session):
    return session.run("return document.activeElement.id || document.activeElement.innerText || document.activeElement.tagName")


def outlined(session):
    return session.run("return getComputedStyle(document.activeElement).outlineStyle === 'solid'")


def type_in(session, selector, text):
    session.run("""const field = document.querySelector(arguments[0]);
                   field.value = arguments[1];
                   field.dispatchEvent(new Event("input", { bubbles: true }));""", selector, text)


def click(session, script, *arguments):
    button = session.run(script, *arguments)
    hold(button, f"there is no button for {arguments}")
    # The driver's own scrolling may leave the button behind the sticky head of the table.
    session.run("arguments[0].scrollIntoView({ block: 'center' })", button)
    session.call("POST", f"/element/{button[ELEMENT]}/click", {})


def save(session, name):
    if not SCREENSHOTS:
        return
    for scheme in ("light", "dark"):
        session.scheme(scheme)
        for width, height in ((1280, 900), (390, 844)):
            session.size(width, height)
            session.run("scrollTo(0, 0)")
            time.sleep(0.3)
            session.screenshot(os.path.join(SCREENSHOTS, f"{name}-{width}-{scheme}.png"))
    session.scheme("light")
    session.size(1280, 900)


def check_loading(session, host):
    with host.request() as answer:
        policy, kind = answer.headers["Content-Security-Policy"], answer.headers["Content-Type"]
        hold(answer.headers["Referrer-Policy"] == "no-referrer" and answer.headers["X-Content-Type-Options"] == "nosniff", "a header is missing")
    hold("default-src 'none'" in policy and "unsafe" not in policy and kind.startswith("text/html"), f"the policy is {policy}")
    session.size(1280, 900)
    session.scheme("light")
    session.open()
    hold(session.until(f"return document.querySelector('#containers .quiet').textContent.startsWith('{ALL} containers')"), "the page does not show all containers")
    says(session, "^Nothing is lost$", "good")
    # The set `sums` gets each text that the page ever shows as a sum.
    session.run("""window.sums = new Set();
        const keep = () => { for (const node of document.querySelectorAll("#sum, #routes tbody tr td:last-child")) sums.add(node.textContent); };
        keep();
        new MutationObserver(keep).observe(document.querySelector("main"), { childList: true, characterData: true, subtree: true });""")
    quiet(session)
    checked(f"the page shows {ALL} containers, without console messages, under a policy without inline code")


def check_account(session, host, receiver):
    host.command("write shop-web-000 1234")
    host.until(lambda status: status["account"]["delivered"] == 1234, "not all lines are delivered")
    hold(session.until(NUMBER.replace("return", "return 1234 === "), 1), "the page does not show the delivered lines")
    hold(session.run(SIDES)[0] == session.run(SIDES)[1], f"the terms do not add up: {session.run(SIDES)}")
    hold(receiver.messages == 1234, f"the receiver has {receiver.messages} messages")
    row = next(row for row in session.run(ROWS, "containers") if row[0] == "shop-web-000")
    hold(row[2] == "followed" and row[3] == "1,234", f"the row of shop-web-000 is {row}")
    checked("1,234 lines are delivered and received, and the equation shows this number and adds up")

    host.command("rate 200")
    time.sleep(6)
    save(session, "load")
    receiver.kill()
    says(session, "^Nothing is lost; [\\d,]+ lines? waits?$", "warn")
    hold(session.until("return document.querySelector('#routes .state').innerText.startsWith('down')"), "the route is not shown as down")
    error = session.run(ROWS, "routes")[0][1]
    hold("refused" in error, f"the state of the route is '{error}'")
    for _ in range(20):
        left, right = session.run(SIDES)
        hold(left == right, f"during the outage the terms do not add up: {left} and {right}")
        time.sleep(0.25)
    save(session, "outage")
    waiting = host.status()["account"]["in_flight"]
    receiver.listen()
    says(session, "^Nothing is lost$", "good")
    host.command("rate 0")
    status = host.until(lambda status: status["account"]["in_flight"] == 0 and status["routes"][0]["state"] == "connected", "lines still wait")
    account = status["account"]
    expected = sum(container["lines"] for container in status["containers"])
    hold(account["delivered"] == expected, f"{account['delivered']} of {expected} lines are delivered")
    resent = status["routes"][0]["resent"]
    hold(expected <= receiver.messages <= expected + resent, f"the receiver has {receiver.messages} messages of {expected} lines and {resent} repeated ones")
    save(session, "after")
    sums = session.run("return [...sums]")
    hold(set(sums) == {"Adds up to the line", "adds up"}, f"the page has shown {sums}")
    quiet(session)
    checked(f"the receiver was killed, {waiting:,} lines waited, and the receiver came back: {expected:,} lines are delivered, and each sum that the page showed added up")


def check_tables(session, host):
    header = "return [...document.querySelectorAll('#containers thead button')].find((button) => button.textContent === arguments[0])"
    sort = "return [...document.querySelectorAll('#containers thead th')].map((head) => head.getAttribute('aria-sort'))"
    click(session, header, "Lines")
    rows = session.run(ROWS, "containers")
    lines = [int(row[3].split()[0].replace(",", "")) for row in rows]
    hold(lines == sorted(lines, reverse=True) and lines[0] > 0, f"the lines are not sorted: {lines[:5]}")
    hold(session.run(sort) == ["none"] * 3 + ["descending"] + ["none"] * 3, f"aria-sort is {session.run(sort)}")
    click(session, header, "Name")
    names = [row[0] for row in session.run(ROWS, "containers")]
    hold(names == sorted(names) and session.run(sort)[0] == "ascending", "the names are not sorted")
    if ALL > 50:
        hold(len(names) == 50, f"{len(names)} rows are shown at first")
        click(session, "return [...document.querySelectorAll('#containers button')].find((button) => button.textContent === 'Show all ' + arguments[0])", str(ALL))
        hold(len(session.run(ROWS, "containers")) == ALL, "not all rows are shown")
    for text, expected, reason in (("quiet", ["quiet"], "LOGSPOUT=ignore is in its environment"), ("SPLUNK", ["splunk-web"], "its log driver does not support reading"),
                                   ("not followed", ["quiet"], ""), ("job:7", ["job"], ""), ("shop-web-000", ["shop-web-000"], "")):
        type_in(session, "#filter", text)
        rows = session.run(ROWS, "containers")
        hold([row[0] for row in rows] == expected and reason in rows[0][2], f"the filter '{text}' leaves {rows}")
    hold(session.run("return document.querySelector('#containers .quiet').textContent").startswith(f"1 of {ALL} containers"), "the filter does not count")
    type_in(session, "#filter", "")
    checked(f"{ALL} rows are sorted and filtered, and say why a log is not read")

    host.command("write small-log 400")
    hold(session.until("return document.querySelector('#gaps tbody tr')"), "the gap is not shown")
    gap = session.run(ROWS, "gaps")[0]
    hold(gap[:3] == ["small-log", "rotated away by the Engine", "1"], f"the gap is shown as {gap}")
    says(session, "^Lines may be missing at 1 place$", "bad")
    checked("a gap is announced with its container, its reason and its number")


def check_tail(session, host):
    lines = "return [...document.querySelectorAll('#lines > div:not([hidden])')].map((line) => line.lastChild.textContent)"
    click(session, "return [...document.querySelectorAll('#containers tbody button')].find((button) => button.textContent === arguments[0])", "shop-web-000")
    hold(focused(session) == "lines", "a click on a container does not lead to its lines")
    host.until(lambda status: status["live_tails"]["open"] == 1, "no tail is open")
    # The tail has its own source. A line that is written before this source has opened the log does not appear.
    end = time.monotonic() + 30
    while not session.run(lines):
        host.command("text shop-web-000 " + HOSTILE)
        hold(time.monotonic() < end, "the tail shows no line")
        time.sleep(0.5)
    shown = session.run(lines)
    hold(set(shown) == {SAFE} and session.run("return document.images.length") == 0, f"a hostile line is shown as {shown[:1]}")
    type_in(session, "#tail [name=text]", "nothing has this")
    hold(session.run(lines) == [], "the filter leaves lines")
    type_in(session, "#tail [name=text]", "")
    hold(session.run(lines) == shown, "the filter does not give the lines back")
    click(session, "return document.querySelector('[name=pause]')")
    host.command("write shop-web-000 2000")
    hold(session.until("return document.querySelector('#tail .quiet').textContent === 'Paused; 2,000 lines wait'"), "the paused tail does not count the lines")
    hold(session.run(lines) == shown, "the paused tail goes on")
    click(session, "return document.querySelector('[name=pause]')")
    hold(session.until(lines + ".at(-1) === 'line 1999 of 2000'"), "the tail does not go on")
    hold(session.run("return document.getElementById('lines').childElementCount") == 500, "the tail does not keep exactly 500 lines")
    end = session.run("const box = document.getElementById('lines'); return box.scrollHeight - box.scrollTop - box.clientHeight")
    hold(end < 3, "the tail does not show its end")
    click(session, "return document.querySelector('[name=start]')")
    host.until(lambda status: status["live_tails"]["open"] == 0, "the tail is not closed")
    checked("the live tail shows hostile lines harmlessly, filters, pauses, keeps 500 lines and ends")


def check_keyboard(session):
    session.open()
    hold(session.until("return document.querySelectorAll('#containers tbody tr').length > 1"), "the page shows no containers")
    session.press(TAB)
    hold(focused(session) == "Skip to the containers" and outlined(session), f"the first Tab leads to {focused(session)}")
    hold(session.run("return document.activeElement.getBoundingClientRect().left >= 0"), "the skip link is not visible")
    session.press(ENTER)
    hold(focused(session) == "containers", "the skip link does not lead to the containers")
    session.press(TAB)
    hold(focused(session) == "filter" and outlined(session), f"the next Tab leads to {focused(session)}")
    for _ in range(5):
        session.press(TAB)
    hold(focused(session) == "Lines/s" and outlined(session), f"the head of the table has {focused(session)}")
    session.press(ENTER)
    session.press(SPACE)
    hold(session.run("return document.activeElement.closest('th').getAttribute('aria-sort')") == "ascending", "Enter and Space do not sort")
    for _ in range(3):
        session.press(TAB)
    name = focused(session)
    hold(re.fullmatch(r"[a-z-]+[\d]*", name) and outlined(session), f"the first row has {name}")
    # The focus stays while the table changes.
    time.sleep(5)
    hold(session.run("return document.activeElement.getBoundingClientRect().top >= document.querySelector('#containers thead').getBoundingClientRect().bottom - 1"), "the focus is behind the head of the table")
    hold(focused(session) == name, f"after 5 s the focus is on {focused(session)}, not {name}")
    session.press(ENTER)
    hold(focused(session) == "lines" and session.run("return document.querySelector('[name=start]').textContent") == "Stop", "Enter on a container does not begin its tail")
    live = session.run("return [...document.querySelectorAll('[aria-live=polite]')].map((node) => node.textContent)")
    hold([re.sub(r"[\d:,]+", "", text) for text in live] == [re.sub(r"[\d:,]+", "", verdict(session)[0])], f"{live} is announced")
    outline = session.run("return [...document.querySelectorAll('h1, h2')].map((node) => node.tagName).join(' ')")
    hold(outline == "H1 H2 H2 H2 H2 H2 H2", f"the outline is {outline}")
    quiet(session)
    checked("by keyboard: skip link, filter, sort and tail, with a visible focus that stays; the verdict is announced politely")


def check_looks(session):
    session.run("for (const button of document.querySelectorAll('section > button')) if (!button.hidden) button.click()")
    for scheme in ("light", "dark"):
        session.scheme(scheme)
        least, node = session.run(CONTRAST)
        hold(least >= 4.5, f"{scheme}: the contrast of {node} is {least:.2f}")
        checked(f"{scheme}: the least contrast of a text is {least:.2f}")
    session.scheme("light")
    session.size(390, 844)
    time.sleep(0.3)
    fits(session, "the page")
    rows = session.run("return Math.max(...[...document.querySelectorAll('#containers tbody tr')].map((row) => row.offsetHeight))")
    hold(rows < 180, f"at 390 px, a row of a container is {rows} px high")
    session.size(1280, 900)
    checked(f"at 390 px nothing overflows, with all {ALL} containers")


def check_flaw(session):
    session.run("""window.real = fetch;
        window.fetch = async (...asked) => {
          const status = await (await real(...asked)).json();
          status.account.delivered -= 3;
          status.routes[0].account.delivered -= 3;
          return new Response(JSON.stringify(status));
        };""")
    says(session, "^The account does not add up: 3 lines are not accounted for$", "bad")
    shown = session.run("return [...document.querySelectorAll('#sum, #routes tbody tr:first-child td:last-child')].map((node) => [node.textContent, getComputedStyle(node.firstElementChild || node).color])")
    red = session.run("return getComputedStyle(document.getElementById('verdict')).borderLeftColor")
    hold(shown == [["3 lines are not accounted for", red]] * 2, f"the sums are {shown}, not red ({red})")
    session.run("window.fetch = real")
    checked("an account that does not add up is shown in red, in total and for its route")


def check_losses(session, host):
    dead = socket.socket()
    dead.bind(("127.0.0.1", 0))
    route = {"id": "dead", "adapter": "gelf+tcp", "address": f"127.0.0.1:{dead.getsockname()[1]}", "options": {"queue": "4", "when_full": "drop_oldest"}}
    host.request("routes", data=json.dumps(route).encode()).close()
    time.sleep(2)
    host.command("write shop-web-000 50")
    status = host.until(lambda status: any(route["account"]["selected"] == 50 for route in status["routes"]), "the new route takes no lines")
    dropped = status["lost"]["dropped"]
    text = says(session, f"^{dropped} lines were dropped; .*wait$", "bad")
    row = next(row for row in session.run(ROWS, "routes") if row[0].startswith("gelf"))
    hold(row[5].split() == [str(dropped), "queue", "full", str(dropped)] and row[-1] == "adds up", f"the route is shown as {row}")
    left, right = session.run(SIDES)
    hold(left == right, f"the terms do not add up: {left} and {right}")
    dead.close()
    quiet(session)
    checked(f"dropped lines are shown with their reason: {text}")


def check_requests(session, host):
    origin = host.address.rstrip("/")
    requests = session.run("return performance.getEntriesByType('resource').map((one) => one.name).filter((name) => !name.startsWith('data:'))")
    strangers = [name for name in requests if not name.startswith(origin + "/status") and not name.startswith(origin + "/logs")]
    hold(requests and not strangers, f"the page requests {strangers[:1]}")
    checked("the page requests /status and /logs alone")


def check_cost(session, host):
    session.call("POST", "/url", {"url": "about:blank"})
    time.sleep(1)
    costs = []
    for is_open in (False, True):
        if is_open:
            session.open()
            time.sleep(1)
        before = host.cpu()
        time.sleep(MEASURED)
        costs.append((host.cpu() - before) / MEASURED)
    hold(costs[1] - costs[0] < ALLOWED, f"the open page costs {costs[1] - costs[0]:.2%} of a core")
    checked(f"the router takes {costs[0]:.2%} of a core without the page and {costs[1]:.2%} with it, with {ALL} containers")


def check_end(session, host):
    session.open()
    hold(session.until("return document.getElementById('verdict').className"), "the page has no verdict")
    host.router.terminate()
    says(session, r"^No answer from the router since \d\d:\d\d:\d\d; ", "bad")
    hold(session.run("return document.body.className") == "stale", "the figures do not look outdated")
    checked("a router that has ended is shown as such")


def main():
    receiver = Receiver()
    host = Host(f"gelf+tcp://127.0.0.1:{receiver.port}#main")

    def check(session):
        check_loading(session, host)
        check_account(session, host, receiver)
        check_tables(session, host)
        check_tail(session, host)
        check_requests(session, host)
        check_keyboard(session)
        check_looks(session)
        check_flaw(session)
        check_losses(session, host)
        check_cost(session, host)
        check_end(session, host)

    try:
        host.until(lambda status: len(status["containers"]) == ALL, "the router does not know all containers")
        drive("check-router-page", BROWSER, SCRATCH, host.address, check)
    except Wrong as error:
        sys.exit(f"check-router-page: {error}")
    finally:
        host.end()


main()
