"""Judges pages that driftlock made, with html5lib, a parser of the HTML standard: usage: page.py FILE..."""

import json
import sys

import html5lib

SPACE = "{http://www.w3.org/1999/xhtml}"
ELEMENTS = set(
    "html head meta link title style body header main footer section article div h1 h2 h3 h4 h5 h6 p ul li dl dt dd "
    "details summary table thead tbody tr th td time code pre small a b i s span ins del".split()
)
ATTRIBUTES = set(
    "lang charset http-equiv content name rel href class id scope datetime open style title role aria-label tabindex".split()
)


def words(element):
    return "".join(element.itertext())


def judge(path):
    with open(path, "rb") as file:
        root = html5lib.HTMLParser(strict=True).parse(file)
    every = [element for element in root.iter() if isinstance(element.tag, str)]
    tags = {element.tag.removeprefix(SPACE) for element in every}
    assert tags <= ELEMENTS, tags - ELEMENTS
    attributes = {name for element in every for name in element.attrib}
    assert attributes <= ATTRIBUTES, attributes - ATTRIBUTES
    comments = [element for element in root.iter() if not isinstance(element.tag, str)]
    assert not comments, comments

    def find(*names):
        return [element for element in every if element.tag.removeprefix(SPACE) in names]

    assert root.get("lang") == "en"
    assert len(find("h1")) == len(find("main")) == len(find("footer")) == len(find("title")) == 1
    assert words(find("title")[0]).strip()
    level = 0
    for heading in find("h1", "h2", "h3", "h4", "h5", "h6"):
        own = int(heading.tag[-1])
        assert own <= level + 1, f"h{own} follows h{level}: {words(heading)}"
        assert words(heading).strip(), f"an empty h{own}"
        level = own
    for heading in find("th"):
        assert heading.get("scope") in ("col", "row"), words(heading)
    for table in find("table"):
        assert all(row.find(f"{SPACE}th") is not None for row in table.iter(f"{SPACE}tr"))
    ids = [element.get("id") for element in every if element.get("id")]
    assert len(ids) == len(set(ids)), ids
    for element in every:
        link = element.get("href")
        assert link is None or link == "data:," or link[:1] == "#" and link[1:] in ids, link
        assert set((element.get("style") or "").split(":")[:1]) <= {"", "height"}
        assert element.tag != f"{SPACE}dl" or len(element), "a list of nothing"
    return {
        "title": words(find("title")[0]),
        "headings": [words(it) for it in find("h1", "h2", "h3", "h4", "h5", "h6")],
        "commands": [words(code) for code in find("code")],
        "text": words(find("main")[0]),
        "labels": [element.get("aria-label") for element in every if element.get("aria-label")],
        "days": [element.get("title") for element in find("s") if element.get("title")],
    }


print(json.dumps([judge(path) for path in sys.argv[1:]]))
