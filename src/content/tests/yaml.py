"""Reads documents with PyYAML, for driftlock's own reader to be held to.

Standard input is a JSON list of texts; standard output a JSON list with, of each, its tree by libyaml, its tree by
PyYAML's own parser, and what Compose hands on of it as the value of a variable: by its first version, which reads with
PyYAML, and by the present one, which reads with Go. null stands where a reader refuses.
"""
import datetime
import json
import re
import sys

import yaml

GO_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
GO_INTEGER = re.compile(r"[-+]?(0o[0-7_]+|0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)")
GO_DATE = re.compile(r"\d{4}-\d\d?-\d\d?([Tt ]\s*\d\d?:\d\d?:\d\d?.*)?")
GO_OTHER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
NOTHING = {"", "~", "null", "Null", "NULL"}
TRUTH = {"true", "True", "TRUE", "false", "False", "FALSE"}
OWN = "tag:yaml.org,2002:"
TYPED = {OWN + name for name in ("int", "float", "bool", "null", "timestamp", "merge")}


def is_go_typed(text):
    forms = (GO_FLOAT, GO_INTEGER, GO_DATE, GO_OTHER)
    return text in NOTHING or text in TRUTH or any(form.fullmatch(text) for form in forms)


def typed(text):
    if text in NOTHING:
        return ["typed", ""]
    return ["typed", text.lower() if text in TRUTH else text]


def tree_of(parent):
    class Reader(parent):
        yaml_constructors = {}
        yaml_multi_constructors = {}

    def own(reader, suffix, node):
        tag = OWN + suffix
        if isinstance(node, yaml.ScalarNode):
            if tag in TYPED:
                return typed(node.value)
            plain = not node.style
            if tag == OWN + "str":
                by_letters = reader.resolve(yaml.ScalarNode, node.value, (True, False))
                is_typed = plain and by_letters == tag and is_go_typed(node.value)
                return typed(node.value) if is_typed else ["text", node.value]
            if tag == OWN + "value":
                return ["text", node.value]
        return bare(reader, tag, node)

    def bare(reader, tag, node):
        if isinstance(node, yaml.ScalarNode):
            value, kind = ["text", node.value], "str"
        elif isinstance(node, yaml.SequenceNode):
            value, kind = ["list", [reader.construct_object(item, deep=True) for item in node.value]], "seq"
        else:
            reader.flatten_mapping(node)
            pairs = {}
            for key, item in node.value:
                key = reader.construct_object(key, deep=True)
                if key[0] not in ("text", "typed"):
                    raise yaml.YAMLError("a key that is no text")
                pairs[tuple(key)] = reader.construct_object(item, deep=True)
            value, kind = ["map", sorted([list(key), item] for key, item in pairs.items())], "map"
        return value if tag in (OWN + kind, "!") else ["tagged", tag, value]

    Reader.add_multi_constructor(OWN, own)
    Reader.add_multi_constructor(None, lambda reader, tag, node: bare(reader, tag, node))

    def read(text):
        reader = Reader(text)
        try:
            node = reader.get_single_node()
            tree = ["typed", ""] if node is None else reader.construct_document(node)
            json.dumps(tree, ensure_ascii=False).encode()
            return tree
        except (yaml.YAMLError, RecursionError, UnicodeEncodeError):
            return None
        finally:
            reader.dispose()

    return read


def first_compose(value):
    if value is None or isinstance(value, str):
        return value
    # It refuses some of these in some places, and writes them its own way in others.
    return ["other", str(value)] if isinstance(value, (bool, datetime.date)) else str(value)


def present_compose(text, node):
    if node.style or (node.tag == OWN + "str" and not is_go_typed(text)):
        return text
    if text in NOTHING:
        return None
    if text in TRUTH:
        return text.lower()
    plain = text.replace("_", "")
    if GO_INTEGER.fullmatch(text):
        octal = re.fullmatch(r"([-+]?)0([0-7]+)", plain)
        return str(int(octal[1] + octal[2], 8) if octal else int(plain, 0))
    if GO_FLOAT.fullmatch(text):
        number = float(text)
        return str(int(number)) if number == int(number) else repr(number)
    return ["other", text]


def handed_on(text):
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        json.dumps(node.value, ensure_ascii=False).encode()
        return [first_compose(yaml.load(text, Loader=yaml.CSafeLoader)), present_compose(node.value, node)]
    except (yaml.YAMLError, ValueError, ArithmeticError, AttributeError, TypeError):
        return None


by_libyaml, by_itself = tree_of(yaml.CSafeLoader), tree_of(yaml.SafeLoader)
texts = json.load(sys.stdin)
json.dump([[by_libyaml(text), by_itself(text), handed_on(text)] for text in texts], sys.stdout)
