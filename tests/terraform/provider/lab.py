"""A Terraform provider of the tests: things are files in a directory, so whoever edits them makes drift.

A file `fail.OPERATION` beside them makes that operation fail, `noise` makes reads write an empty map where there is none,
`slow` makes reads wait for ever.
"""

import json
import os
import pathlib
import time
import uuid

from tf import runner
from tf.iface import DataSource, Provider, Resource
from tf.schema import Attribute, Schema
from tf.types import List, Map, Number, Set, String, Unknown

ATTRIBUTES = [
    Attribute("id", String(), computed=True),
    Attribute("name", String(), required=True),
    Attribute("size", Number(), optional=True),
    Attribute("tags", Map(String()), optional=True),
    Attribute("rules", Set(String()), optional=True),
    Attribute("steps", List(String()), optional=True),
    Attribute("note", String(), optional=True, computed=True),
    Attribute("password", String(), optional=True, sensitive=True),
    Attribute("zone", String(), optional=True, requires_replace=True),
]


class Store:
    def __init__(self):
        self.dir = None

    def path(self, id_):
        return self.dir / f"{id_}.json"

    def has(self, name):
        return (self.dir / name).exists()

    def fails(self, operation, diags):
        if self.has(f"fail.{operation}"):
            diags.add_error(f"the lab refuses to {operation}", "it was told so")
            return True
        return False


STORE = Store()


class Thing(Resource):
    @classmethod
    def get_name(cls):
        return "thing"

    @classmethod
    def get_schema(cls):
        return Schema(attributes=ATTRIBUTES)

    def __init__(self, provider):
        pass

    def validate(self, diags, type_name, config):
        pass

    def plan(self, ctx, current, planned):
        return planned

    def write(self, state):
        STORE.path(state["id"]).write_text(json.dumps(state))
        return state

    def create(self, ctx, planned):
        if STORE.fails("create", ctx.diagnostics):
            return None
        state = {name: None if value is Unknown else value for name, value in planned.items()}
        state["id"] = f"t-{state['name']}" if not STORE.has(f"t-{state['name']}.json") else uuid.uuid4().hex[:8]
        if state["note"] is None:
            state["note"] = "made by the lab"
        return self.write(state)

    def read(self, ctx, current):
        while STORE.has("slow"):
            time.sleep(0.1)
        if STORE.fails("read", ctx.diagnostics) or STORE.fails(f"read.{current['name']}", ctx.diagnostics):
            return current
        try:
            state = json.loads(STORE.path(current["id"]).read_text())
        except FileNotFoundError:
            return None
        if STORE.has("noise") and state["tags"] is None:
            state["tags"] = {}
        return state

    def update(self, ctx, current, planned):
        if STORE.fails("update", ctx.diagnostics):
            return current
        state = {name: current[name] if value is Unknown else value for name, value in planned.items()}
        return self.write(state)

    def delete(self, ctx, current):
        if not STORE.fails("delete", ctx.diagnostics):
            STORE.path(current["id"]).unlink(missing_ok=True)

    def upgrade(self, ctx, version, old):
        return old

    def import_(self, ctx, id_):
        try:
            return json.loads(STORE.path(id_).read_text())
        except FileNotFoundError:
            return None


class Look(DataSource):
    @classmethod
    def get_name(cls):
        return "look"

    @classmethod
    def get_schema(cls):
        return Schema(attributes=[Attribute("id", String(), required=True), Attribute("there", Number(), computed=True)])

    def __init__(self, provider):
        pass

    def validate(self, diags, type_name, config):
        pass

    def read(self, ctx, config):
        return {"id": config["id"], "there": int(STORE.path(config["id"]).exists())}


class Lab(Provider):
    def get_model_prefix(self):
        return "lab_"

    def full_name(self):
        return "registry.terraform.io/driftlock/lab"

    def get_provider_schema(self, diags):
        attributes = [Attribute("dir", String(), required=True), Attribute("token", String(), optional=True)]
        return Schema(attributes=attributes)

    def validate_config(self, diags, config):
        pass

    def configure_provider(self, diags, config):
        STORE.dir = pathlib.Path(config["dir"])
        if not STORE.dir.is_dir():
            diags.add_error("the lab does not answer", f"dial {STORE.dir}: connection refused")

    def get_data_sources(self):
        return [Look]

    def get_resources(self):
        return [Thing]


if __name__ == "__main__":
    os.umask(0o077)
    runner.run_provider(Lab())
