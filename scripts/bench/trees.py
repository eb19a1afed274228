"""Projects to look at: generated once and kept."""

import os
import pathlib
import shutil
import subprocess


def generated(bench, name, *arguments):
    """A project with a generated addon root, and its baseline."""
    project = bench.dir / name
    if not (project / "addons").is_dir():
        part = bench.dir / f"{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        project.mkdir(exist_ok=True)
        subprocess.run([bench.tree, part / "addons", *map(str, arguments)], stdout=subprocess.DEVNULL, check=True)
        os.rename(part / "addons", project / "addons")
        part.rmdir()
    baseline(bench, project, ["addons"])
    return project


def large(bench, name, count, size):
    """An addon root with one module of some large files, whose bytes are really on the disk."""
    module = bench.dir / name / "module_large"
    if not (module / "done").is_file():
        shutil.rmtree(module, ignore_errors=True)
        module.mkdir(parents=True)
        (module / "__manifest__.py").write_text("{}\n")
        for number in range(count):
            with open(module / f"large_{number}.bin", "wb") as file:
                for _ in range(size >> 20):
                    file.write(os.urandom(1 << 20))
        (module / "done").write_text("")
    return bench.dir / name


def gathered(bench, name, roots):
    """A project whose addon roots are links to directories elsewhere."""
    project = bench.dir / name
    project.mkdir(exist_ok=True)
    for link, place in roots.items():
        (project / link).unlink(missing_ok=True)
        (project / link).symlink_to(pathlib.Path(place).resolve())
    baseline(bench, project, list(roots))
    return project


def baseline(bench, project, roots, more="", docker='mode = "off"\n'):
    """The project's configuration, and a new baseline."""
    shutil.rmtree(project / "audit", ignore_errors=True)
    (project / "audit").mkdir()
    listed = ", ".join(f'"{root}"' for root in roots)
    text = f'[compose]\nfiles = []\n[addons]\nroots = [{listed}]\n[docker]\n{docker}{more}'
    (project / "audit" / "driftlock.toml").write_text(text)
    subprocess.run([bench.driftlock, f"--root={project}", "export", "--accept", "--quiet"], check=True)


def forget_runs(project):
    """Removes the reports that measuring left."""
    shutil.rmtree(project / "audit" / "runtime", ignore_errors=True)


def size(directory):
    """How many files lie below, and how many bytes they have."""
    sizes = [os.stat(os.path.join(at, name)).st_size for at, _, names in os.walk(directory) for name in names]
    return len(sizes), sum(sizes)
