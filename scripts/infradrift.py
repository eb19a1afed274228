#!/usr/bin/env python3
"""Plants changes in a machine of its own, one at a time, and tells which of them driftlock and infradrift (PyPI) see.

The machine is a set of namespaces with a systemd, copies of /etc and of dpkg's database, and a network of its own. Needs root,
systemd, dpkg-deb, iproute2 and infradrift 1.1.1: python3 -m pip install infradrift==1.1.1. Run: scripts/infradrift.py [DRIFTLOCK]
"""
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DRIFTLOCK = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "target/release/driftlock")
INFRADRIFT = [sys.executable, "-m", "infradrift"]
T = pathlib.Path(tempfile.mkdtemp(prefix="driftlock-infradrift-", dir="/tmp"))
# Where the python3 of PATH, which infradrift asks, has its packages.
PIP = subprocess.run(["python3", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True).stdout.strip()
BOUND = {"etc": "/etc", "dpkg": "/var/lib/dpkg", "cron": "/var/spool/cron", "ssh": "/root/.ssh", "run": "/run"}
UNIT = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep 3600\n[Install]\nWantedBy=lab.target\n"
LISTEN = """import socket, sys, time
kind, address, port = sys.argv[1:4]
it = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
if ":" in address: it.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
it.bind((address, int(port)))
if kind == "tcp": it.listen()
open(sys.argv[4], "w").close()
time.sleep(3600)
"""
FILES = ["/etc/passwd", "/etc/group", "/etc/crontab", "/etc/cron.d/*", "/etc/cron.*ly/*", "/var/spool/cron/crontabs/*", "/etc/ssh/sshd_config",
         "/etc/sudoers", "/etc/sudoers.d/*", "/etc/sysctl.d/*", "/etc/hosts", "/etc/resolv.conf", "/root/.ssh/authorized_keys",
         "/etc/systemd/system/*.service", "/etc/systemd/system/*/*", f"{PIP}/*.dist-info/METADATA"]
CONFIG = f"""[compose]
files = []
[addons]
roots = []
[files]
include = {json.dumps(FILES)}
[packages]
[ports]
[services]
units = ["one.service", "two.service"]
[[probes]]
name = "bios"
run = ["cat", "{T}/bios"]
category = "firmware"
"""


def put(path, text):
    path = T / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def deb(name, version):
    put(f"deb/{name}_{version}/DEBIAN/control", f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: x\n")
    subprocess.run(["dpkg-deb", "--build", "-Znone", T / f"deb/{name}_{version}", T / f"{name}_{version}.deb"], check=True, stdout=subprocess.DEVNULL)


def make():
    os.chmod(T, 0o755)
    shutil.copytree("/etc", T / "etc", symlinks=True)
    shutil.copytree("/var/lib/dpkg", T / "dpkg", symlinks=True)
    for name in ["cron/crontabs", "ssh", "run/sshd", "project/audit", "work"]:
        (T / name).mkdir(parents=True)
    shutil.rmtree(T / "etc/systemd/system")
    put("etc/systemd/system/lab.target", "[Unit]\nDefaultDependencies=no\nWants=one.service\n")
    for name in ["one", "two"]:
        put(f"etc/systemd/system/{name}.service", UNIT)
    put("etc/systemd/system/one.service.d/lab.conf", "[Service]\nNice=1\n")
    put("etc/cron.d/lab", "0 1 * * * root /bin/true\n")
    put("etc/cron.daily/lab", "#!/bin/sh\ntrue\n")
    put("etc/crontab", "0 2 * * * root /bin/false\n")
    put("cron/crontabs/root", "0 3 * * * /bin/true\n")
    put("etc/sudoers.d/lab", "lab ALL=(ALL) /bin/true\n")
    put("etc/sudoers", "root ALL=(ALL) ALL\n")
    put("etc/sysctl.d/90-lab.conf", "kernel.sysrq = 0\n")
    (T / "etc/resolv.conf").unlink(missing_ok=True)
    put("etc/resolv.conf", "nameserver 127.0.0.1\n")
    put("ssh/authorized_keys", "ssh-ed25519 AAAA a\n")
    put("pip/lab-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    shutil.copy("/usr/bin/python3", T / "other")
    put("bios", "1.2\n")
    put("listen.py", LISTEN)
    put("project/audit/driftlock.toml", CONFIG)
    for name, version in [("lab-a", "1.0"), ("lab-b", "1.0"), ("lab-a", "1.1"), ("lab-a", "0.9"), ("lab-c", "1")]:
        deb(name, version)


class Machine:
    def __init__(self):
        mounts = "; ".join(f"mkdir -p {there}; mount --bind {T}/{here} {there}" for here, there in BOUND.items())
        mounts += f"; mount -t overlay none -o lowerdir={PIP},upperdir={T}/pip,workdir={T}/work {PIP}"
        script = f"set -e; {mounts}; ip link set lo up; exec /usr/lib/systemd/systemd --unit=lab.target --log-target=null --show-status=0"
        spaces = ["--mount", "--pid", "--net", "--fork", "--kill-child", "--uts", "--cgroup", "--propagation", "slave", "--mount-proc"]
        self.process = subprocess.Popen(["unshare", *spaces, "sh", "-c", script], env={**os.environ, "container": "lab"},
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.init = self.until(lambda: children.read_text().strip())
        self.until(lambda: self.run("systemctl is-active one.service", quiet=True).returncode == 0)

    @staticmethod
    def until(ready):
        for _ in range(300):
            if got := ready():
                return got
            time.sleep(0.1)
        sys.exit("the machine does not get ready")

    def inside(self, command):
        return ["nsenter", "--target", self.init, "--mount", "--pid", "--net", f"--wd={T}/project", *command]

    def run(self, line, quiet=False):
        done = subprocess.run(self.inside(["sh", "-ec", line]), capture_output=True, text=True)
        if done.returncode and not quiet:
            sys.exit(f"{line}: {done.stdout}{done.stderr}")
        return done

    def tool(self, command):
        start = time.monotonic()
        done = subprocess.run(self.inside(command), capture_output=True, text=True)
        return done, time.monotonic() - start


def listen(name, *place, program="python3"):
    up = f"{T}/{name}.up"
    line = f"rm -f {up}; nohup {program} {T}/listen.py {' '.join(place)} {up} >/dev/null 2>&1 & echo $! >{T}/{name}.pid"
    return f"{line}; i=0; until [ -e {up} ]; do i=$((i + 1)); [ $i -lt 300 ]; sleep 0.1; done"


def hang_up(name):
    return f"pid=$(cat {T}/{name}.pid); kill $pid; while [ -e /proc/$pid/fd/0 ]; do sleep 0.1; done"


def dpkg(name, version):
    return f"dpkg --force-downgrade -i {T}/{name}_{version}.deb >/dev/null 2>&1"


def edited(path, more):
    """A change of a file, and its undo."""
    return f"cp -p {path} {T}/before; printf '{more}\\n' >>{path}", f"cp -p {T}/before {path}"


def added(path, text):
    return f"mkdir -p $(dirname {path}); printf '{text}\\n' >{path}", f"rm {path}"


ACCOUNTS = f"cp -p {T}/group.before /etc/group; cp -p {T}/passwd.before /etc/passwd"
CHANGES = [
    ("a package was installed", dpkg("lab-c", "1"), "dpkg -P lab-c >/dev/null"),
    ("a package was removed", "dpkg -r lab-b >/dev/null", dpkg("lab-b", "1.0")),
    ("a package was upgraded", dpkg("lab-a", "1.1"), dpkg("lab-a", "1.0")),
    ("a package was downgraded", dpkg("lab-a", "0.9"), dpkg("lab-a", "1.0")),
    ("a package was held", "echo lab-a hold | dpkg --set-selections", "echo lab-a install | dpkg --set-selections"),
    ("pip: a package was added", *added(f"{PIP}/other-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: other\\nVersion: 1")),
    ("pip: a package has another version", f"sed -i s/1.0/1.1/ {PIP}/lab-1.0.dist-info/METADATA", f"sed -i s/1.1/1.0/ {PIP}/lab-1.0.dist-info/METADATA"),
    ("a TCP port was opened to every address", listen("x", "tcp", "0.0.0.0", "9000"), hang_up("x")),
    ("a TCP port was opened on 127.0.0.1", listen("x", "tcp", "127.0.0.1", "9001"), hang_up("x")),
    ("a low UDP port was opened", listen("x", "udp", "0.0.0.0", "514"), hang_up("x")),
    ("a high UDP port was opened", listen("x", "udp", "0.0.0.0", "40000"), hang_up("x")),
    ("a port on 127.0.0.1 is open to every address", hang_up("db") + "; " + listen("x", "tcp", "0.0.0.0", "5433"),
     hang_up("x") + "; " + listen("db", "tcp", "127.0.0.1", "5433")),
    ("a port is open on IPv6, too", listen("x", "tcp", "::", "8069"), hang_up("x")),
    ("nothing listens on a port any more", hang_up("web"), listen("web", "tcp", "0.0.0.0", "8069")),
    ("another program listens on a port", hang_up("web") + "; " + listen("x", "tcp", "0.0.0.0", "8069", program=f"{T}/other"),
     hang_up("x") + "; " + listen("web", "tcp", "0.0.0.0", "8069")),
    ("an account was added", "useradd -M -u 4001 mallory", ACCOUNTS),
    ("an account was removed", "userdel anna 2>/dev/null", ACCOUNTS),
    ("an account became root (uid 0)", "sed -i 's/^anna:x:4000:/anna:x:0:/' /etc/passwd", ACCOUNTS),
    ("an account has another shell", "usermod -s /bin/sh anna", ACCOUNTS),
    ("an account has another home", "usermod -d /tmp/anna anna", ACCOUNTS),
    ("an account joined sudo", "usermod -aG sudo anna", ACCOUNTS),
    ("an account left adm", "gpasswd -d anna adm >/dev/null", ACCOUNTS),
    ("an account joined www-data", "usermod -aG www-data anna", ACCOUNTS),
    ("a user has a new cron job", "echo '0 4 * * * /bin/x' >>/var/spool/cron/crontabs/root", "sed -i '$d' /var/spool/cron/crontabs/root"),
    ("a file in cron.d was added", *added("/etc/cron.d/other", "0 5 * * * root /bin/x")),
    ("a line of /etc/crontab is gone", "cp /etc/crontab /etc/before; : >/etc/crontab", "mv /etc/before /etc/crontab"),
    ("a script in cron.daily was added", *added("/etc/cron.daily/other", "#!/bin/sh")),
    ("a script in cron.daily was edited", *edited("/etc/cron.daily/lab", "/bin/x")),
    ("a variable of a crontab was changed", *edited("/etc/cron.d/lab", "PATH=/tmp")),
    ("a service was stopped", "systemctl stop one.service", "systemctl start one.service"),
    ("a service was started", "systemctl start two.service", "systemctl stop two.service"),
    ("a service was enabled", "systemctl enable -q two.service 2>/dev/null", "systemctl disable -q two.service 2>/dev/null"),
    ("a service was disabled", "systemctl disable -q one.service 2>/dev/null", "systemctl enable -q one.service 2>/dev/null"),
    ("a unit was added", "cp /etc/systemd/system/two.service /etc/systemd/system/three.service; systemctl daemon-reload",
     "rm /etc/systemd/system/three.service; systemctl daemon-reload; systemctl reset-failed"),
    ("a drop-in of a unit was edited", *edited("/etc/systemd/system/one.service.d/lab.conf", "Nice=2")),
    ("sshd_config was edited", *edited("/etc/ssh/sshd_config", "PermitRootLogin yes")),
    ("a rule of sudo was added", *added("/etc/sudoers.d/other", "anna ALL=(ALL) NOPASSWD: ALL")),
    ("a key was added to authorized_keys", *edited("/root/.ssh/authorized_keys", "ssh-ed25519 BBBB b")),
    ("a sysctl was changed", *edited("/etc/sysctl.d/90-lab.conf", "kernel.sysrq = 1")),
    ("firmware has another version (a probe)", f"echo 1.3 >{T}/bios", f"echo 1.2 >{T}/bios"),
]


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    make()
    machine = Machine()
    try:
        measure(machine)
    finally:
        machine.process.kill()
        machine.process.wait()
        shutil.rmtree(T, ignore_errors=True)


def measure(machine):
    lines = ["systemctl enable -q one.service 2>/dev/null", dpkg("lab-a", "1.0"), dpkg("lab-b", "1.0"), "useradd -M -u 4000 -G adm -s /bin/bash anna",
             f"cp -p /etc/passwd {T}/passwd.before; cp -p /etc/group {T}/group.before",
             listen("web", "tcp", "0.0.0.0", "8069"), listen("db", "tcp", "127.0.0.1", "5433")]
    for line in lines:
        machine.run(line)
    export = machine.tool([DRIFTLOCK, "export", "--accept", "--quiet", "--docker", "off"])[0]
    if export.returncode:
        sys.exit(export.stdout + export.stderr)
    machine.tool([*INFRADRIFT, "snapshot", "-o", f"{T}/base.json"])
    ours = [DRIFTLOCK, "check", "--quiet", "--docker", "off", "--output", f"{T}/out"]
    theirs = [*INFRADRIFT, "check", "-b", f"{T}/base.json", "--format", "json"]
    seen = []
    for name, plant, undo in CHANGES:
        machine.run(plant)
        codes = [machine.tool(command)[0].returncode for command in (ours, theirs)]
        machine.run(undo)
        after = machine.tool(ours)[0]
        if after.returncode or codes[0] not in (0, 2) or codes[1] not in (0, 1):
            sys.exit(f"{name}: {codes}, then {after.stdout}{after.stderr}")
        seen.append((name, codes[0] == 2, codes[1] == 1))
        print(f"{len(seen)} {name}: {codes}", file=sys.stderr, flush=True)
    times = [[machine.tool(command)[1] for _ in range(5)] for command in (ours, theirs)]
    print("| change | driftlock | infradrift |\n|---|---|---|")
    for name, *both in seen:
        print(f"| {name} | {' | '.join('seen' if it else '–' for it in both)} |")
    ours, theirs = map(statistics.median, times)
    counts = [sum(row[at] for row in seen) for at in (1, 2)]
    print(f"\n{len(seen)} changes: driftlock {counts[0]}, infradrift {counts[1]}; medians of 5: {ours:.3f} s and {theirs:.3f} s, ratio {ours / theirs:.2f}")


main()
