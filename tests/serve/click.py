"""Logs in on the page of an agent, acknowledges what is open, and has everything looked at, as a person does: in Chromium by its
DevTools protocol, with real events of a mouse or a keyboard. Arguments: the address, the token, the way (mouse, keys, plain), the reason.
"plain" is the mouse with JavaScript switched off. Prints what it saw, as JSON."""

import base64
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

PATIENCE = 60
KEYS = {"Tab": 9, "Enter": 13}


def until(what, look):
    """Looks again until there is something to see."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        seen = look()
        if seen:
            return seen
        time.sleep(0.02)
    sys.exit(f"waited in vain for {what}")


class Tab:
    """A tab of a browser, by its WebSocket (RFC 6455)."""

    def __init__(self, port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE) as answer:
            tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
        path = tabs[0]["webSocketDebuggerUrl"].split(str(port), 1)[1]
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self.socket.sendall(f"{head}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        self.file = self.socket.makefile("rb")
        while self.file.readline() not in (b"\r\n", b""):
            pass
        self.number = 0
        self.requests = []
        self.origin = ""

    def call(self, method, **params):
        """Calls a method, and gives its result."""
        self.number += 1
        text = json.dumps({"id": self.number, "method": method, "params": params}).encode()
        length = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + struct.pack(">H", len(text))
        self.socket.sendall(b"\x81" + length + b"\0\0\0\0" + text)
        while True:
            answer = json.loads(self.message())
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"].removeprefix(self.origin))
            if answer.get("id") == self.number:
                return answer.get("result") or sys.exit(f"{method}: {answer}") if "error" in answer else answer["result"]

    def message(self):
        """The next message of the browser."""
        whole = b""
        while True:
            first, length = self.file.read(2)
            length &= 0x7F
            if length == 126:
                (length,) = struct.unpack(">H", self.file.read(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self.file.read(8))
            whole += self.file.read(length)
            if first & 0x80:
                return whole

    def js(self, expression):
        """The value of an expression: it looks, and does nothing."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    def click(self, selector):
        """Clicks on the middle of an element."""
        box = f"(e => {{ e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect(); \
            return [r.x + r.width / 2, r.y + r.height / 2]; }})(document.querySelector({json.dumps(selector)}))"
        x, y = until(selector, lambda: self.js(box))
        for kind in ["mousePressed", "mouseReleased"]:
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key):
        """Presses a key."""
        code = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def type(self, text):
        """Types a text into what has the focus."""
        self.call("Input.insertText", text=text)

    def tab_to(self, selector):
        """Presses Tab until an element has the focus, which is to be seen; gives how often."""
        is_there = f"document.activeElement.matches({json.dumps(selector)})"
        outline = "(s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0)(getComputedStyle(document.activeElement))"
        for count in range(1, 200):
            self.press("Tab")
            if self.js(is_there):
                return count if self.js(outline) else sys.exit(f"{selector} has the focus, and nobody sees it")
        return sys.exit(f"Tab never reaches {selector}")


REASON = "form.ack input[name=reason]"
ACKNOWLEDGE = "form.ack button"
RECONCILE = "form[action='/page/reconcile'] button"
SEEN = "document.readyState === 'complete' && document.querySelector('h1, h2') && document.body.innerText"


def acted(tab, url, token, way, reason):
    """What a person does, and what the page says after each step."""
    tab.origin = url
    for domain in ["Page", "Network"]:
        tab.call(f"{domain}.enable")
    if way == "plain":
        tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.call("Page.navigate", url=url)
    until("the login", lambda: tab.js("document.readyState === 'complete' && document.activeElement.id === 'token'"))
    seen = {"tabs": []}
    tab.type(token)
    if way == "keys":
        tab.press("Enter")
    else:
        tab.click("button")
    until("the page", lambda: tab.js(f"document.readyState === 'complete' && !!document.querySelector({json.dumps(REASON)})"))
    seen["first"] = tab.js(SEEN)
    if way == "keys":
        seen["tabs"].append(tab.tab_to(REASON))
        tab.type(reason)
        seen["tabs"].append(tab.tab_to(ACKNOWLEDGE))
        tab.press("Enter")
    else:
        tab.click(REASON)
        tab.type(reason)
        tab.click(ACKNOWLEDGE)
    gone = f"document.readyState === 'complete' && !document.querySelector({json.dumps(REASON)}) && {SEEN}"
    seen["acknowledged"] = until("what was acknowledged", lambda: tab.js(gone))
    tab.js("document.body.dataset.before = 1")
    if way == "keys":
        seen["tabs"].append(tab.tab_to(RECONCILE))
        tab.press("Enter")
    else:
        tab.click(RECONCILE)
    seen["asked"] = until("the page after the button", lambda: tab.js(f"!document.body.dataset.before && {SEEN}"))
    seen["address"] = tab.js("location.href")
    seen["requests"] = tab.requests
    return seen


def main(url, token, way, reason):
    """One browser, from its start to its end."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
        options += ["--no-first-run", "--no-proxy-server", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
        environment = {**os.environ, "HOME": profile}
        quiet = subprocess.DEVNULL
        browser = subprocess.Popen(["chromium", *options, "about:blank"], env=environment, stdout=quiet, stderr=quiet)
        try:
            note = os.path.join(profile, "DevToolsActivePort")
            port = int(until("the browser", lambda: os.path.exists(note) and open(note).read().split("\n")[0]))
            print(json.dumps(acted(Tab(port), url, token, way, reason)))
        finally:
            browser.terminate()
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                browser.kill()


main(*sys.argv[1:])
