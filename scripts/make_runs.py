#!/usr/bin/env python3
"""Makes many past runs of a project out of its newest report: scripts/make_runs.py ROOT COUNT [DAYS [MANY]].

They are spread evenly over the last DAYS (30). Of MANY (50) runs one has 300 findings; every fifth has three.
"""
import copy
import datetime
import hashlib
import json
import pathlib
import sys


def finding(number, is_module):
    digest = lambda text: hashlib.sha256(f"{text} {number}".encode()).hexdigest()
    made = {
        "subject": f"module_{number}" if is_module else f"infra/stacks/stack_{number}/docker-compose.yml",
        "kind": "modified",
        "change": "content",
        "expected": digest("expected"),
        "actual": digest("actual"),
        "layer": "bespoke" if is_module else "",
        "fingerprint": digest("fingerprint"),
        "cause": "somebody has edited it in place, and nobody has committed that",
        "ways_out": [
            {"what": "make it the baseline", "command": f"driftlock accept --only module_{number}"},
            {"what": "take the released one", "command": f"git checkout -- odoo_modules/seisei/module_{number}"},
        ],
    }
    if is_module:
        paths = [f"models/order_{n}.py" for n in range(4)]
        made["files"] = [
            {"path": path, "kind": "modified", "expected": digest(path), "actual": digest("new" + path)}
            for path in paths
        ]
    return made


def with_findings(report, count):
    report = copy.deepcopy(report)
    if count == 0:
        return report
    for check in report["checks"]:
        if check["name"] in ("compose_hashes", "addon_hashes"):
            is_module = check["name"] == "addon_hashes"
            share = count // 3 if not is_module else count - count // 3
            check["status"] = "FAIL"
            check["findings"] = [finding(n, is_module) for n in range(share)]
    report.update(overall="FAIL", exit_code=2, headline=f"FAIL local: {count} subjects drifted")
    return report


def main():
    root, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    days = float(sys.argv[3]) if len(sys.argv) > 3 else 30.0
    rare = int(sys.argv[4]) if len(sys.argv) > 4 else 50
    runtime = root / "audit/runtime"
    template = json.loads((runtime / "latest.json").read_text())
    many, few, none = (with_findings(template, findings) for findings in (300, 3, 0))
    now = datetime.datetime.now().astimezone()
    step = days * 86400 / count
    for n in range(count):
        at = now - datetime.timedelta(seconds=(count - n) * step)
        report = many if n % rare == 0 else few if n % 5 == 0 else none
        stamp = at.strftime("%Y%m%d_%H%M%S")
        name, number = stamp, 2
        while (runtime / name).exists():
            name, number = f"{stamp}_{number}", number + 1
        report.update(
            timestamp=stamp,
            run=name,
            started_at=at.isoformat(timespec="seconds"),
            started_at_unix=int(at.timestamp()),
        )
        run = runtime / name
        run.mkdir()
        (run / "drift_report.json").write_text(json.dumps(report, indent=2) + "\n")
        (run / "drift_report.txt").write_text(report["headline"] + "\n")


main()
