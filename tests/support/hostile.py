"""An SSH server that means no good: hostile.py KIND DRIFTLOCK [ARGUMENT...]

Writes a target `prod` for itself into the project here, runs driftlock against it, and prints as JSON how that ended:
exit code, output, the most memory that it had (KiB), and the seconds that it took."""

import getpass
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

import paramiko

DIGEST = b"a" * 64
PIECE = 1 << 17


def message(kind, *parts):
    """A message of the protocol."""
    built = paramiko.Message()
    built.add_byte(bytes([kind]))
    for part in parts:
        if isinstance(part, bool):
            built.add_boolean(part)
        elif isinstance(part, int):
            built.add_int(part)
        else:
            built.add_string(part)
    return built


class Server(paramiko.ServerInterface):
    """Lets everybody in, and runs every command."""

    def __init__(self, kind, transport):
        self.kind, self.transport, self.sockets = kind, transport, set()

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        before = BEFORE.get(self.kind)
        while before:
            self.transport._send_message(before())
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, chanid):
        if kind.startswith("direct-streamlocal"):
            self.sockets.add(chanid)
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        work = self.refuse if b"docker" in command else self.talk
        threading.Thread(target=work, args=(channel,), daemon=True).start()
        return True

    def refuse(self, channel):
        """There is no client of an engine here."""
        try:
            channel.send_exit_status(127)
            channel.close()
        except (OSError, EOFError, paramiko.SSHException):
            pass

    def talk(self, channel):
        try:
            script = b""
            while piece := channel.recv(PIECE):
                script += piece
            if self.kind in WILD:
                WILD[self.kind](self.transport, channel)
                return
            if self.kind in ENGINES and b"main driftlock-" not in script:
                self.refuse(channel)
                return
            if self.kind in ENGINES:
                channel.sendall(subprocess.run(["sh", "-s"], input=script, capture_output=True, check=True).stdout)
                channel.send_exit_status(0)
                channel.close()
                return
            nonce = re.search(rb"main (driftlock-[0-9a-f]+)", script).group(1)
            calls = len(re.findall(rb"^call ", script, re.M))
            channel.sendall(b"\0" + nonce + b" begin\0")
            for piece in TOLD[self.kind]():
                channel.sendall(piece)
            channel.sendall(b"Z" + nonce + b" %d\0" % calls)
            for piece in LATER.get(self.kind, lambda: [])():
                channel.sendall(piece)
            channel.send_exit_status(0)
            channel.close()
        except (OSError, EOFError, paramiko.SSHException):
            pass


def forever(piece):
    """The same over and over."""
    while True:
        yield piece


def module(records):
    """One module, told with these records."""
    place = os.fsencode(os.getcwd()) + b"/odoo_modules/seisei/printer"
    yield b"M" + place + b"\0\0"
    yield from records
    yield b"m\0"


def files(count):
    """So many files of a module, in pieces."""
    for begin in range(0, count, 1000):
        yield b"".join(b"h%sfile%d\0" % (DIGEST, number) for number in range(begin, begin + 1000))


def deep():
    """Names of one letter in a directory with a long path, which each of them repeats."""
    yield b"L/" + b"d" * 4000 + b"\0\0a\0"
    yield from forever(b"fx\0" * 10000)


ODD = ["\x1b[2J\x1b[31mOVERALL: PASS", "\u202etxt.exe", "a\nOVERALL: PASS\n", "\x9b31m", "\r[PASS] all", "\x07\x00"[:1], "]]>"]

# What the script tells, as these servers have it.
TOLD = {
    "an answer without end": lambda: forever(b"F/some/file\0f\0" * 1000),
    "a line of a gigabyte": lambda: forever(b"h" + b"a" * PIECE),
    "a million files": lambda: module(files(1_000_000)),
    "small names below a long path": deep,
    "a path that no system has": lambda: [b"L/" + b"d" * (1 << 20) + b"\0\0a\0"],
    "odd names": lambda: module(b"h" + DIGEST + name.encode("utf-8", "surrogateescape") + b"\0" for name in ODD),
    "an odd refusal": lambda: [b"E\x1b[2JOVERALL: PASS\n" + b"x" * (1 << 20) + b"\0"],
    "a forged end": lambda: module([b"h" + DIGEST + b"x\0Zdriftlock-" + b"0" * 32 + b" 3\0"]),
    "talk after the end": lambda: [],
    "one record a moment": lambda: (time.sleep(0.02) or b"F/some/file\0f\0" for _ in forever(0)),
}
LATER = {"talk after the end": lambda: forever(b"x" * PIECE)}


def flood(build):
    """Sends messages of the protocol without end."""

    def go(transport, channel):
        while True:
            transport._send_message(build(channel))

    return go


def rekeys(transport, channel):
    while True:
        transport.renegotiate_keys()


def noise(transport, channel):
    for piece in forever(b"welcome\n" * 10000):
        channel.sendall(piece)


def complaints(transport, channel):
    for piece in forever(b"\x1b[2Jno\n" * 10000):
        channel.sendall_stderr(piece)


def complaint(transport, channel):
    channel.sendall_stderr(b"\x1b[2J\x1b]0;x\x07\xe2\x80\xaetxt OVERALL: PASS\n")
    channel.send_exit_status(3)
    channel.close()


# What is no answer of a script at all.
WILD = {
    "a login shell that talks without end": noise,
    "complaints without end": complaints,
    "an odd complaint": complaint,
    "ten thousand channels": flood(lambda _: message(90, "forwarded-tcpip", 7, 1 << 20, 1 << 15, "a", 1, "b", 2)),
    "unknown channels": flood(lambda _: message(90, "nobody@knows", 7, 1 << 20, 1 << 15)),
    "windows without end": flood(lambda channel: message(93, channel.remote_chanid, 1 << 31)),
    "requests without end": flood(lambda _: message(80, "who@knows", True)),
    "nothing but ignored messages": flood(lambda _: message(2, "x" * 1000)),
    "keys without end": rekeys,
}
# Of these nothing but the time says that they have no end.
DRIPS = ["one record a moment", "complaints without end", "unknown channels", "windows without end"]
DRIPS += ["requests without end", "nothing but ignored messages"]
# What comes before anybody is let in.
BEFORE = {
    "banners without end": lambda: message(53, "\x1b[2Jwelcome\n" * 1000, ""),
    "prompts without end": lambda: message(60, "name", "instruction", "", 1, "Password: ", False),
    "refusals without end": lambda: message(51, "publickey", False),
}
# What comes before the protocol.
RAW = {
    "a version without end": b"SSH-2.0-" + b"x" * 65536,
    "lines before the version": b"welcome\r\n" * 1000,
    "banana": b"\x1b[2J\0\xff" * 1000,
}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(piece):
    return b"%x\r\n%s\r\n" % (len(piece), piece)


# What an engine behind the server says.
ENGINES = {
    "an engine without end": (HEAD + chunked(b'[{"Id":"'), chunked(b"a" * PIECE)),
    "containers without end": (HEAD + chunked(b"["), chunked(b"{}," * 10000)),
    "headers without end": (b"HTTP/1.1 200 OK\r\n", b"X-Odd: " + b"x" * 1000 + b"\r\n"),
}


def engine(channel, kind):
    first, rest = ENGINES[kind]
    try:
        channel.recv(PIECE)
        channel.sendall(first)
        while True:
            channel.sendall(rest)
    except (OSError, EOFError, paramiko.SSHException):
        pass


def raw(near, text):
    try:
        while True:
            near.sendall(text)
    except OSError:
        pass


def serve(kind, near, key):
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if kind in RAW:
        raw(near, RAW[kind])
        return
    try:
        transport = paramiko.Transport(near)
        transport.use_compression(kind == "a million files")
        transport.add_server_key(key)
        server = Server(kind, transport)
        transport.start_server(server=server)
        # A channel that nobody holds is closed.
        held = []
        while channel := transport.accept(60):
            held.append(channel)
            if channel.get_id() in server.sockets:
                threading.Thread(target=engine, args=(channel, kind), daemon=True).start()
    except (OSError, EOFError, paramiko.SSHException):
        pass


def main(kind, args):
    paramiko.util.log_to_file("/dev/null")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    home = tempfile.mkdtemp()
    key = paramiko.ECDSAKey.generate()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{home}/key"], check=True)
    with open(f"{home}/known_hosts", "w", encoding="utf-8") as file:
        file.write(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")
    limit = "3s" if kind in DRIPS else "10m"
    docker = "auto" if kind in ENGINES else "off"
    with open("audit/driftlock.toml", "a", encoding="utf-8") as file:
        file.write(
            f'[targets.prod]\nhost = "127.0.0.1"\nport = {port}\nuser = "{getpass.getuser()}"\nssh_key = "{home}/key"\n'
            f'known_hosts = "{home}/known_hosts"\nroot = "{os.getcwd()}"\ndocker = "{docker}"\ntime_limit = "{limit}"\n'
        )

    def accept():
        while True:
            near, _ = listener.accept()
            threading.Thread(target=serve, args=(kind, near, key), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
    begin = time.monotonic()
    env = os.environ | {"HOME": home, "SSH_AUTH_SOCK": ""}
    process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begin
    texts = []
    for file in (out, err):
        file.seek(0)
        texts.append(file.read().decode("utf-8", "replace"))
    told = {"code": os.waitstatus_to_exitcode(status), "memory": usage.ru_maxrss, "seconds": seconds}
    print(json.dumps(told | {"out": texts[0], "err": texts[1]}), flush=True)
    os._exit(0)


main(sys.argv[1], sys.argv[2:])
