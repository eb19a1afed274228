"""A Docker engine that dies at any byte of what it says: after that its socket is deaf, gone, or answers the next call."""

import json
import os
import shutil
import socket
import threading

from project import CONFIG, Kit, Lost, Trial, below, put, run

LOCK = "audit/locks/docker_images.lock.json"
IMAGE = {"ParentId": "", "RepoDigests": [], "Created": 0, "Size": 0, "SharedSize": -1, "VirtualSize": 0, "Labels": None}
IMAGE["Containers"] = -1


def container(name, image, digit, state="running"):
    return {
        "Id": (name * 64)[:64],
        "Names": [f"/{name}"],
        "Image": image,
        "ImageID": "sha256:" + digit * 64,
        "State": state,
        "Mounts": [],
        "Labels": {"com.docker.compose.project": "erp", "com.docker.compose.service": name},
    }


class Engine:
    """Answers calls over a socket as an engine does, for so many bytes."""

    def __init__(self, path, containers, most=None, after="deaf"):
        self.path, self.containers, self.most, self.after = path, containers, most, after
        self.given, self.died = 0, False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(near,), daemon=True).start()

    def talk(self, near):
        with near:
            try:
                while self.answer(near, self.call(near)):
                    pass
            except OSError:
                pass

    @staticmethod
    def call(near):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = near.recv(4096)
            if not piece:
                raise OSError
            head += piece
        return head.split()[1].decode()

    def answer(self, near, path):
        if "/containers/json" in path:
            body = self.containers
        elif "/images/json" in path:
            tags = {(one["Image"], one["ImageID"]) for one in self.containers}
            body = [IMAGE | {"Id": image, "RepoTags": [tag]} for tag, image in sorted(tags)]
        elif "/containers/" in path:
            wanted = path.split("/containers/")[1].split("/")[0]
            one = next(one for one in self.containers if one["Id"] == wanted)
            body = {"Id": one["Id"], "Name": one["Names"][0], "Image": one["ImageID"], "Config": {"Image": one["Image"]}}
            body |= {"State": {"Status": one["State"]}, "HostConfig": {"AutoRemove": False}}
        else:
            body = {"Version": "29.0.0", "ApiVersion": "1.45"}
        text = json.dumps(body).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        return self.say(near, head.encode() + text)

    def say(self, near, text):
        if self.most is not None and self.given + len(text) > self.most:
            text = text[: max(0, self.most - self.given)]
        self.given += len(text)
        near.sendall(text)
        if self.most is None or self.given < self.most:
            return True
        self.died = True
        if self.after == "gone":
            os.unlink(self.path)
        if self.after != "again":
            self.listener.close()
        else:
            self.most = None
        return False

    def end(self):
        self.listener.close()


WEB = [container("web", "odoo:18", "a"), container("db", "postgres:16", "b")]
DRIFTED = [container("web", "odoo:18", "c"), container("db", "postgres:16", "b")]


class Dies:
    """Containers are compared with an engine that dies."""

    def __init__(self, kit, args):
        self.args, self.kit = args, Kit.__new__(Kit)
        # A kit of its own: the baseline has containers, too.
        self.kit.scratch = os.path.join(kit.scratch, f"engine-{args[0]}")
        self.kit.locks = {}
        base = os.path.join(self.kit.scratch, "base")
        put(base, {"audit/driftlock.toml": CONFIG + "[docker]\nmode = \"required\"\n", "infra/stacks/edge/docker-compose.yml": "services: {}\n"})
        os.makedirs(os.path.join(base, "odoo_modules/seisei"))
        put(base, {"odoo_modules/seisei/a/__manifest__.py": "{}\n", "etc/odoo.conf": "x\n"})
        for state, containers in (("old", DRIFTED), ("new", WEB)):
            ran, self.said = self.beside(base, containers, "export", "--accept")
            Kit.must(ran, 0)
            self.kit.locks[state] = below(os.path.join(base, "audit/locks"))
        self.kit.clean = base
        self.kit.drifted = os.path.join(self.kit.scratch, "drifted")
        shutil.copytree(base, self.kit.drifted)
        with open(os.path.join(self.kit.drifted, LOCK), "wb") as file:
            file.write(self.kit.locks["old"][os.path.basename(LOCK)])
        ran, self.said = self.beside(base, WEB, *args)
        Kit.must(ran, 0)

    @staticmethod
    def beside(root, containers, *args, most=None, after="deaf"):
        """Runs a command beside an engine: what came of it, and how much the engine said."""
        place = os.path.join(root, "engine.sock")
        engine = Engine(place, containers, most, after)
        ran = run(root, *args, env=os.environ | {"DOCKER_HOST": f"unix://{place}"})
        engine.end()
        if os.path.exists(place):
            os.unlink(place)
        return ran, engine if most is not None else engine.given

    def once(self, chance):
        trial = Trial(self.kit, chance)
        trial.next_runs = lambda may_hold=None: self.next_runs(trial)
        after = chance.choice(("deaf", "gone", "again"))
        most = chance.randrange(self.said + 1)
        ran, engine = self.beside(trial.root, WEB, *self.args, most=most, after=after)
        whole = 2 if self.args[0] == "check" and not trial.is_clean else 0
        if ran.returncode not in (whole, 1):
            raise Lost(f"exit code {ran.returncode}: {ran.stdout.decode()}{ran.stderr.decode()}")
        if engine.died and after != "again" and most < self.said and ran.returncode != 1:
            raise Lost(f"no error of an engine that died after {most} of {self.said} bytes: {ran.stdout.decode()}")
        state = trial.verify(self.args, ran.returncode, ran.stdout)
        return trial, state, ran.returncode == 1

    def next_runs(self, trial):
        is_new = trial.locks_now() == self.kit.locks["new"]
        ran, _ = self.beside(trial.root, WEB, "check")
        if ran.returncode != (0 if is_new else 2):
            raise Lost(f"the next check ends with {ran.returncode}: {ran.stdout.decode()}{ran.stderr.decode()}")
        ran, _ = self.beside(trial.root, WEB, "export", "--accept")
        if ran.returncode != 0 or trial.locks_now() != self.kit.locks["new"]:
            raise Lost(f"the next export ends with {ran.returncode}: {ran.stdout.decode()}{ran.stderr.decode()}")
        trial.tidy()


def faults():
    return {
        "the engine dies during check": lambda kit: Dies(kit, ("check",)),
        "the engine dies during export --accept": lambda kit: Dies(kit, ("export", "--accept")),
    }
