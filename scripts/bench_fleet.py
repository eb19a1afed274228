#!/usr/bin/env python3
"""Measures one process that checks many targets over a real sshd, beside xargs with ssh.

    scripts/bench_fleet.py DRIFTLOCK [TARGETS] [FILES] [FROZEN] [REFUSING]

Targets are addresses of the loopback range, all of them one private sshd; frozen ones take a connection and say nothing,
refusing ones have nobody at their port. ANSIBLE names a directory with ansible-core, which runs beside it on at most 50 of them. JOBS ("1 16 100") says how many at once. Prints a row for each measurement: what, seconds, peak memory, and the client's processor time.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time


def main():
    binary = os.path.abspath(sys.argv[1])
    targets, files, frozen, refusing = (
        int(sys.argv[at]) if len(sys.argv) > at else otherwise
        for at, otherwise in ((2, 200), (3, 300), (4, 0), (5, 0))
    )
    top = tempfile.mkdtemp(prefix="driftlock-fleet.")
    sshd, silent = None, socket.socket()
    try:
        sshd, port = server(top)
        silent.bind(("127.0.0.1", 0))
        silent.listen(1024)
        project(top, files, targets, port, (frozen, silent.getsockname()[1]), (refusing, closed()))
        run = lambda words, **more: measured(words, cwd=f"{top}/project", **more)
        env = {**os.environ, "HOME": f"{top}/home", "SSH_AUTH_SOCK": ""}
        subprocess.run([binary, "export", "--accept"], cwd=f"{top}/project", env=env, check=True, stdout=subprocess.DEVNULL)
        print("| what | seconds | peak memory of a process, MB | processor time of the client, s |")
        print("| --- | --- | --- | --- |")
        for jobs in map(int, os.environ.get("JOBS", "1 16 100").split()):
            words = [binary, "check", "--all", "--jobs", str(jobs), "--format", "fleet"]
            row(f"driftlock check --all --jobs {jobs}, {targets + frozen + refusing} targets", *run(words, env=env))
        if frozen or refusing:
            return
        find = "cd {0}/project && find addons -type f -print0 | xargs -0 sha256sum".format(top)
        ssh = (
            f"seq 1 {targets} | xargs -P16 -I@ sh -c 'ssh -F none -n -o BatchMode=yes -o UserKnownHostsFile={top}/known_hosts "
            f"-o IdentitiesOnly=yes -i {top}/key -p {port} \"127.0.$((@ / 250 + 1)).$((@ % 250 + 1))\" \"{find}\"' >/dev/null"
        )
        row(f"xargs -P16 ssh, find and sha256sum, {targets} targets", *run(["sh", "-c", ssh], env=env))
        if modules := os.environ.get("ANSIBLE"):
            beside_ansible(top, binary, min(targets, 50), port, modules, run, env)
    finally:
        if sshd:
            sshd.terminate()
            sshd.wait()
        shutil.rmtree(top)


def beside_ansible(top, binary, targets, port, modules, run, env):
    """Some of the targets, by one process and by Ansible, which only runs `true` on them."""
    names = [word for at in range(1, targets + 1) for word in ("--target", f"host{at:04}")]
    words = [binary, "check", *names, "--jobs", "16", "--format", "fleet"]
    row(f"driftlock check --jobs 16, {targets} targets", *run(words, env=env))
    with open(f"{top}/hosts.ini", "w") as hosts:
        for at in range(1, targets + 1):
            hosts.write(f"host{at:04} ansible_host=127.0.{at // 250 + 1}.{at % 250 + 1} ansible_port={port} ansible_user=root\n")
    env = {
        **env, "PYTHONPATH": modules, "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8",
        "ANSIBLE_SSH_ARGS": f"-F none -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile={top}/known_hosts -o IdentitiesOnly=yes",
        "ANSIBLE_PRIVATE_KEY_FILE": f"{top}/key",
    }
    words = ["python3", f"{modules}/bin/ansible", "-i", f"{top}/hosts.ini", "all", "-f", "16", "-m", "command", "-a", "true"]
    row(f"ansible -f 16 -m command, {targets} targets", *run(words, env=env))


def row(what, seconds, memory, processor, code):
    print(f"| {what} | {seconds:.1f} | {memory / 1024:.0f} | {processor:.1f} | (exit code {code})", flush=True)


def measured(words, **more):
    start = time.monotonic()
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **more)
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    took = time.monotonic() - start
    if b"FLEET" in out:
        print("<!-- " + next(line for line in out.decode().splitlines() if " PASS" in line) + " -->")
    return took, usage.ru_maxrss, usage.ru_utime + usage.ru_stime, child.returncode


def closed():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def server(top):
    os.makedirs(f"{top}/home")
    os.makedirs("/run/sshd", exist_ok=True)
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{top}/{name}"], check=True)
    port = closed()
    with open(f"{top}/sshd_config", "w") as config:
        config.write(
            f"Port {port}\nListenAddress 0.0.0.0\nHostKey {top}/host\nAuthorizedKeysFile {top}/key.pub\nPermitRootLogin yes\n"
            f"PasswordAuthentication no\nStrictModes no\nUsePAM no\nUseDNS no\nPidFile none\nMaxStartups 200:30:400\n"
            f"SetEnv HOME={top}/home\n"
        )
    sshd = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", f"{top}/sshd_config", "-E", f"{top}/sshd.log"])
    until = time.monotonic() + 10
    while "listening" not in open(f"{top}/sshd.log", "a+").read() and "listening" not in open(f"{top}/sshd.log").read():
        if time.monotonic() > until:
            raise SystemExit("the server does not start: " + open(f"{top}/sshd.log").read())
        time.sleep(0.05)
    return sshd, port


def project(top, files, targets, port, frozen, refusing):
    root = f"{top}/project"
    os.makedirs(f"{root}/audit")
    for at in range(files):
        module = f"{root}/addons/module_{at // 25:03}"
        os.makedirs(f"{module}/models", exist_ok=True)
        open(f"{module}/__manifest__.py", "w").write("{'name': 'x'}\n")
        if at % 25:
            open(f"{module}/models/file_{at:04}.py", "w").write(f"x = {at}\n" * (at % 700))
    key = open(f"{top}/host.pub").read().split()[:2]
    with open(f"{root}/audit/driftlock.toml", "w") as config, open(f"{top}/known_hosts", "w") as known:
        config.write('[compose]\nfiles = []\n[addons]\nroots = ["addons"]\n[docker]\nmode = "off"\n')
        for name, count, at_port in (("host", targets, port), ("frozen", *frozen), ("refusing", *refusing)):
            for at in range(1, count + 1):
                address = f"127.0.{at // 250 + 1}.{at % 250 + 1}" if name == "host" else "127.0.0.1"
                config.write(
                    f'[targets.{name}{at:04}]\nhost = "{address}"\nport = {at_port}\nuser = "root"\nssh_key = "{top}/key"\n'
                    f'known_hosts = "{top}/known_hosts"\nroot = "{root}"\ndocker = "off"\n'
                )
                if name == "host":
                    known.write(f"[{address}]:{port} {key[0]} {key[1]}\n")


signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
main()
