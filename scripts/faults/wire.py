"""A connection to a server that is cut at any byte, in either direction: an OpenSSH server of its own, and a proxy."""

import getpass
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from project import CONFIG, Lost, Trial, run

SSHD = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin") or "/usr/sbin/sshd"
LINES = """ListenAddress 127.0.0.1
HostKey {dir}/host
AuthorizedKeysFile {dir}/key.pub
PermitRootLogin yes
StrictModes no
UsePAM no
PidFile none
PrintMotd no
PrintLastLog no
UseDNS no
SetEnv HOME={dir}
MaxStartups 100
PasswordAuthentication no
KbdInteractiveAuthentication no
"""


class Server:
    """An OpenSSH server on loopback."""

    def __init__(self, scratch):
        self.dir = tempfile.mkdtemp(dir=scratch)
        for name in ("host", "key"):
            keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(self.dir, name)]
            subprocess.run(keygen, check=True)
        config = os.path.join(self.dir, "sshd_config")
        with open(config, "w", encoding="utf-8") as file:
            file.write(LINES.format(dir=self.dir))
        if os.getuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        self.port = free_port()
        log = open(os.path.join(self.dir, "log"), "wb")
        self.process = subprocess.Popen([SSHD, "-D", "-e", "-p", str(self.port), "-f", config], stderr=log)
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise AssertionError("the server does not listen")

    def end(self):
        self.process.terminate()
        self.process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Proxy:
    """Passes one connection on, and cuts it after so many bytes up or down; `None`: never."""

    def __init__(self, port, up=None, down=None):
        self.to, self.most = port, {"up": up, "down": down}
        self.passed = {"up": 0, "down": 0}
        self.was_cut = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.to))
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.passed = {"up": 0, "down": 0}
            threading.Thread(target=self.carry_both, args=(near, far), daemon=True).start()

    def carry_both(self, near, far):
        with near, far:
            up = threading.Thread(target=self.carry, args=("up", near, far), daemon=True)
            up.start()
            self.carry("down", far, near)
            up.join()

    def carry(self, way, here, there):
        most = self.most[way]
        try:
            while True:
                room = 65536 if most is None else most - self.passed[way]
                if room <= 0:
                    self.was_cut = True
                    break
                piece = here.recv(room)
                if not piece:
                    break
                there.sendall(piece)
                self.passed[way] += len(piece)
        except OSError:
            pass
        for end in (here, there):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def end(self):
        self.listener.close()


class Cut:
    """A connection that is cut."""

    lanes = 6

    def __init__(self, kit, way):
        self.kit, self.way, self.server = kit, way, Server(kit.scratch)
        trial, ran, proxy = self.through({}, None, True)
        assert ran.returncode == 0, (ran.stdout, ran.stderr)
        trial.done()
        # A session is now and then some bytes longer or shorter.
        self.every = proxy.passed[way] + 64

    def end(self):
        self.server.end()

    def through(self, cut, chance, is_clean=None):
        """Looks at the project itself, as it lies on the server."""
        trial = Trial(self.kit, chance, is_clean=is_clean)
        proxy = Proxy(self.server.port, **cut)
        known = os.path.join(trial.root, "known_hosts")
        with open(os.path.join(self.server.dir, "host.pub"), encoding="utf-8") as file:
            key = " ".join(file.read().split()[:2])
        with open(known, "w", encoding="utf-8") as file:
            file.write(f"[127.0.0.1]:{proxy.port} {key}\n")
        with open(trial.path("audit/driftlock.toml"), "w", encoding="utf-8") as file:
            file.write(
                f'{CONFIG}[targets.prod]\nhost = "127.0.0.1"\nport = {proxy.port}\nuser = "{getpass.getuser()}"\n'
                f'ssh_key = "{self.server.dir}/key"\nknown_hosts = "{known}"\nroot = "{trial.root}"\ndocker = "off"\n'
            )
        env = os.environ | {"HOME": self.server.dir}
        args = ("check", "--target", "prod", "--connect-timeout", "3")
        ran = run(trial.root, *args, env=env)
        proxy.end()
        return trial, ran, proxy

    def once(self, chance):
        # All of them, or as many as there are trials at places that are spread evenly.
        offset = chance.number if chance.all else chance.randrange(self.every)
        trial, ran, proxy = self.through({self.way: offset}, chance)
        code = ran.returncode
        if code not in (1, 0 if trial.is_clean else 2):
            raise Lost(f"exit code {code}: {ran.stdout.decode()}{ran.stderr.decode()}")
        if code == 1 and not proxy.was_cut:
            raise Lost(f"an error of a connection that was not cut: {ran.stdout.decode()}{ran.stderr.decode()}")
        if code == 1 and not re.search(rb"Failed to collect server state", ran.stdout):
            raise Lost(f"no word of the connection: {ran.stdout.decode()}")
        state = trial.whole_locks()
        trial.whole_reports(code, ("check",), ran.stdout)
        # Nothing but a report was written: the next run is the same for most offsets.
        if chance.number % 10 == 0:
            trial.next_runs()
        return trial, state, code == 1


def faults():
    return {
        "the connection cut on the way to the server": lambda kit: Cut(kit, "up"),
        "the connection cut on the way back": lambda kit: Cut(kit, "down"),
    }
