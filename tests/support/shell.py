#!/usr/bin/env python3
"""Types into an interactive shell at a terminal of its own: shell.py SHELL SETUP WORDS

Completes WORDS with a tab and prints the arguments that the shell makes of them, one in angle brackets a line.
"""

import os
import pty
import select
import sys
import time

GUARD = 60
STARTS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}


class Shell:
    def __init__(self, name):
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.execvp(STARTS[name][0], STARTS[name])
        self.seen = b""
        self.end = time.monotonic() + GUARD

    def type(self, text):
        os.write(self.terminal, text.encode())

    def wait_for(self, text):
        """What was shown before the text, which is passed by."""
        wanted = text.encode()
        while wanted not in self.seen:
            left = self.end - time.monotonic()
            if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
                sys.exit(f"the shell never showed {text!r}:\n{self.seen!r}")
            try:
                self.seen += os.read(self.terminal, 65536)
            except OSError:
                sys.exit(f"the shell has ended:\n{self.seen!r}")
        before, self.seen = self.seen.split(wanted, 1)
        return before


def main():
    name, setup, words = sys.argv[1:]
    shell = Shell(name)
    # The quotes tell the marks from the lines that are typed, which the terminal shows, too.
    shell.type(f"{setup}; echo RE''ADY\r")
    shell.wait_for("READY\r\n")
    # To the beginning of the line, so that the completed line becomes arguments.
    shell.type(f"{words}\t\x01printf 'AR''G<%s>\\n' \r")
    shell.type("echo DO''NE\r")
    shown = shell.wait_for("DONE\r\n").decode(errors="replace")
    for line in shown.replace("\r", "").split("\n"):
        at = line.find("ARG<")
        if at >= 0:
            print(line[at + 3 :])
    shell.type("exit\r")


main()
