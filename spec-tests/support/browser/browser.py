"""Drives headless Chromium by the WebDriver protocol, for scripts that check pages."""
import base64
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

ENTER, ESCAPE, TAB, SPACE = "\ue007", "\ue00c", "\ue004", " "
UP, RIGHT, DOWN = "\ue013", "\ue014", "\ue015"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Wrong(Exception):
    """A check failed or could not run."""


class Session:
    """A browser, controlled by the WebDriver protocol. `address` is the page that `open` loads."""

    def __init__(self, driver, browser, scratch, address):
        self.address = address
        for line in driver.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                break
        else:
            raise Wrong("chromedriver did not start")
        self.base = f"http://127.0.0.1:{found[1]}/session"
        # Connects directly, whatever proxy the environment names.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        arguments = ["--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                     "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", f"--user-data-dir={scratch}/profile"]
        if os.getuid() == 0:
            arguments.append("--no-sandbox")
        answer = self.call("POST", "", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": browser, "args": arguments}}}})
        self.base += "/" + answer["sessionId"]

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.base + path, method=method, headers={"Content-Type": "application/json"},
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with self.opener.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            try:
                text = json.load(error)["value"]["message"]
            except (ValueError, KeyError, TypeError):
                text = str(error)
            raise Wrong("the browser reports: " + text.splitlines()[0]) from None
        except OSError as error:
            raise Wrong(f"chromedriver does not answer: {error}") from None

    def run(self, script, *arguments):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def devtools(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def size(self, width, height):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, value):
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def open(self, fragment=""):
        # Loads another page in between, since a change of the fragment alone loads nothing.
        self.call("POST", "/url", {"url": "about:blank"})
        self.call("POST", "/url", {"url": self.address + fragment})

    def keys(self, element, text):
        self.call("POST", f"/element/{element[ELEMENT]}/value", {"text": text})

    def press(self, key):
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def until(self, script, *arguments):
        end = time.monotonic() + 10
        while not (value := self.run(script, *arguments)) and time.monotonic() < end:
            time.sleep(0.05)
        return value

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("GET", "/screenshot")))


def hold(condition, failure):
    if not condition:
        raise Wrong(failure)


def checked(text):
    print("checked: " + text, flush=True)


def quiet(session):
    said = [entry for entry in session.call("POST", "/se/log", {"type": "browser"}) if entry["level"] in ("WARNING", "SEVERE")]
    hold(not said, f"console message: {said[0]['message'].splitlines()[0] if said else ''}")


def fits(session, where):
    inner, wide = session.run("return [innerWidth, document.documentElement.scrollWidth]")
    hold(inner == 390, f"the window is {inner} px wide, not 390")
    if wide > inner:
        culprit = session.run("""const all = [...document.body.querySelectorAll("*")];
            const out = all.filter((node) => node.getBoundingClientRect().right > innerWidth + 1).pop();
            return out ? out.tagName + " " + out.textContent.slice(0, 60) : "";""")
        raise Wrong(f"at 390 px, {where} is {wide} px wide ({culprit})")


def drive(program, browser, scratch, address, check):
    """Starts a browser and passes its session to `check`. If a check fails, exits with `program: failure` on stderr."""
    log = open(os.path.join(scratch, "chromedriver.log"), "w", encoding="utf-8")
    driver = subprocess.Popen(["chromedriver", "--port=0", f"--log-path={scratch}/driver.log"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
    session = None
    try:
        session = Session(driver, browser, scratch, address)
        check(session)
    except Wrong as error:
        sys.exit(f"{program}: {error}")
    finally:
        if session:
            try:
                session.call("DELETE", "")
            except Wrong:
                pass
        driver.terminate()
        try:
            driver.wait(timeout=10)
        except subprocess.TimeoutExpired:
            driver.kill()
        log.close()
