"""A headless Chromium for the tests, driven by its own protocol over two pipes. It needs no other package."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage")
SECONDS = 120  # a browser that does not answer fails the test
KEYS = {"Tab": 9, "Enter": 13, " ": 32, "End": 35, "Home": 36, "ArrowRight": 39}  # their codes on Windows


def find_browser():
    """The path of a Chromium or Chrome; None if there is none. On Windows, it cannot be driven like this."""
    found = [*map(shutil.which, NAMES), MAC if os.path.exists(MAC) else None]
    return next(filter(None, found), None) if os.name == "posix" else None


class Page:
    """A page of a browser. problems: what its console reports. requests: all addresses that it asked for."""

    def __init__(self, commands, answers):
        self.commands, self.answers, self.unread = commands, answers, b""
        self.number, self.session, self.events, self.problems, self.requests = 0, None, [], [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """The browser's answer to a command of its protocol."""
        self.number += 1
        command = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            command["sessionId"] = self.session
        data = json.dumps(command).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data) :]
        while True:
            message = self._read()
            if message.get("id") == self.number:
                assert "error" not in message, (method, message["error"])
                return message["result"]

    def _read(self):
        """The next message, an answer or an event."""
        while b"\0" not in self.unread:
            assert select.select([self.answers], [], [], SECONDS)[0], f"no answer after {SECONDS} s"
            more = os.read(self.answers, 1 << 20)
            assert more, "the browser has ended"
            self.unread += more
        data, _, self.unread = self.unread.partition(b"\0")
        message = json.loads(data)
        method, parameters = message.get("method"), message.get("params", {})
        self.events.append(method)
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        loud = method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert")
        if loud or method in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.problems.append(parameters)
        return message

    def open(self, address):
        """Opens an address. Returns when the page is loaded. The lists begin with it."""
        for events in (self.events, self.problems, self.requests):
            events.clear()
        self.call("Page.navigate", url=address)
        while "Page.loadEventFired" not in self.events:
            self._read()

    def run(self, code):
        """The value of a JavaScript expression in the page; of a promise, what it becomes."""
        result = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, code):
        """Returns when a JavaScript expression is true."""
        end = time.monotonic() + SECONDS
        while not self.run(code):
            assert time.monotonic() < end, code
            time.sleep(0.05)

    def press(self, *keys):
        """Presses keys: the names of KEYS, or single characters."""
        for key in keys:
            more = {"key": key, "windowsVirtualKeyCode": KEYS.get(key) or ord(key)}
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **more)
            self.call("Input.dispatchKeyEvent", type="keyUp", **more)

    def resize(self, width, height=800, dark=False):
        """Sets the size of the window in pixels, and which colour scheme the reader prefers."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])


@contextlib.contextmanager
def browser():
    """A Page of a new Chromium, which ends with the block."""
    with contextlib.ExitStack() as ends:
        profile = ends.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        (commands, to_browser), (from_browser, answers) = os.pipe(), os.pipe()
        command = [find_browser(), *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        # Chromium reads commands from file 3 and answers to file 4.
        move = ["bash", "-c", f'exec 3<&{commands} 4>&{answers}; exec "$@"', "bash"]
        with open(Path(profile, "messages"), "wb") as messages:
            process = subprocess.Popen(
                [*move, *command], pass_fds=(commands, answers), stdout=messages, stderr=messages
            )
        os.close(commands)
        os.close(answers)
        ends.callback(os.close, to_browser)
        ends.callback(os.close, from_browser)
        ends.callback(process.wait)
        ends.callback(process.kill)
        yield Page(to_browser, from_browser)
