//! Files that compose files name: proposed by `init`, and told of where nobody has locked them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use crate::support::dice::Dice;
use crate::support::git::{commit_all, git};
use crate::support::random::seed;
use crate::support::{Project, findings};

const COMPOSE: &str = "infra/stacks/erp/docker-compose.yml";

/// A project whose baseline has these files beside its own, of which nobody locks those that are no compose files.
fn with(files: &[(&str, &str)]) -> Project {
    let project = Project::small();
    for (path, text) in files {
        project.file(path, text);
    }
    project.ok(&["export", "--accept"]);
    project
}

/// What a report says of files that compose files name: how many, and the sentence.
fn named(report: &Value) -> (u64, String) {
    let all = report["coverage"]["subjects"].as_array().unwrap();
    let it = all.iter().find(|it| it["reason"].as_str().unwrap().contains("that compose files name: "));
    it.map_or((0, String::new()), |it| {
        (it["count"].as_u64().unwrap(), it["reason"].as_str().unwrap().to_owned())
    })
}

fn checked(project: &Project) -> (u64, String) {
    let (code, report) = project.check(&[]);
    assert_eq!(code, 0, "a note is no reason to fail: {report:#}");
    named(&report)
}

#[test]
fn each_key_names_files_relative_to_the_file_that_has_it() {
    for (text, path) in [
        ("include: [parts/x.yml]\n", "parts/x.yml"),
        ("include: [{path: parts/x.yml}]\n", "parts/x.yml"),
        ("include: [{path: [./parts/x.yml]}]\n", "parts/x.yml"),
        ("include: [{path: ../none.yml, env_file: x.env}]\n", "x.env"),
        ("services: {web: {image: x, extends: {file: common.yaml, service: a}}}\n", "common.yaml"),
        ("services: {web: {image: x, env_file: x.env}}\n", "x.env"),
        ("services: {web: {image: x, env_file: [./x.env]}}\n", "x.env"),
        ("services: {web: {image: x, env_file: [{path: x.env, required: false}]}}\n", "x.env"),
        ("configs: {c: {file: ./c.conf}}\n", "c.conf"),
        ("secrets: {s: {file: secrets/s.txt}}\n", "secrets/s.txt"),
        ("services: {web: {image: x, volumes: ['./odoo.conf:/etc/odoo.conf:ro']}}\n", "odoo.conf"),
        (
            "services: {web: {image: x, volumes: [{type: bind, source: odoo.conf, target: /o}]}}\n",
            "odoo.conf",
        ),
        ("services: {web: {image: 'x:${TAG}'}}\n", ".env"),
    ] {
        let path = format!("infra/stacks/erp/{path}");
        let project = with(&[(COMPOSE, text), (&path, "services: {a: {image: x}}\n")]);
        assert_eq!(checked(&project), (1, format!("file that compose files name: {path}")), "{text}");
        let told = project.ok(&["check"]).out();
        let line = format!(
            "Not compared: 1 file that compose files name: {path} (add \"{path}\" to include in [files])"
        );
        assert!(told.lines().any(|it| it == line), "{text}{told}");
        // Locked, it is no news any more, and is compared.
        let toml = project.read("audit/driftlock.toml");
        project.file("audit/driftlock.toml", &format!("{toml}[files]\ninclude = [\"{path}\"]\n"));
        project.ok(&["export", "--accept"]);
        assert_eq!(checked(&project), (0, String::new()), "{text}");
        project.file(&path, "services: {a: {image: y}}\n");
        let (code, report) = project.check(&[]);
        assert_eq!((code, findings(&report, "config_hashes").len()), (2, 1), "{text}");
    }
}

#[test]
fn names_lead_on_from_file_to_file_and_up() {
    let project = with(&[
        (
            COMPOSE,
            "include: [../../shared/base.yaml]\nservices: {web: {image: x, extends: {file: a/common.yml, service: web}}}\n",
        ),
        (
            "infra/shared/base.yaml",
            "services: {db: {image: x, env_file: db.env}}\ninclude: [deep/more.yml]\n",
        ),
        ("infra/shared/deep/more.yml", "configs: {c: {file: c.conf}}\ninclude: [../base.yaml]\n"),
        (
            "infra/stacks/erp/a/common.yml",
            "services: {web: {extends: low}, low: {volumes: ['./w.conf:/w']}, other: {env_file: other.env}}\n",
        ),
        ("infra/stacks/erp/a/w.conf", ""),
        ("infra/stacks/erp/a/other.env", "of a service that nobody extends"),
        ("infra/shared/db.env", "A=1\n"),
        ("infra/shared/deep/c.conf", "x"),
        (
            "infra/stacks/edge/docker-compose.yml",
            "services: {edge: {env_file: [../erp/a/w.conf, none.env]}}\n",
        ),
    ]);
    let (count, said) = checked(&project);
    assert_eq!(count, 6, "{said}");
    assert!(
        said.ends_with("infra/shared/base.yaml, infra/shared/db.env, infra/shared/deep/c.conf, and 3 more"),
        "{said}"
    );
}

#[test]
fn what_is_no_single_file_or_lies_in_a_module_or_is_locked_is_not_named() {
    let project = with(&[
        (
            COMPOSE,
            "services: {web: {image: x, volumes: ['./data:/data', 'named:/n', /anonymous, '/var/run/docker.sock:/s', \
             '/etc/localtime:/etc/localtime:ro', '../../../odoo_modules/seisei/printer/models/order.py:/o.py', \
             '../edge/docker-compose.yml:/c', './gone.conf:/g'], ports: ['80:80']}}\n",
        ),
        ("infra/stacks/erp/data/file", "x"),
    ]);
    assert_eq!(checked(&project), (0, String::new()));
}

#[test]
fn files_outside_of_the_project_and_names_that_compose_alone_resolves_are_counted() {
    let outside = Project::empty();
    outside.file("odoo.conf", "x");
    let path = outside.root().join("odoo.conf");
    let path = path.to_str().unwrap();
    let project = with(&[
        (
            COMPOSE,
            &format!("services: {{web: {{image: x, volumes: ['{path}:/o', '~/x:/x', '${{A}}/b:/b']}}}}\n"),
        ),
        ("infra/stacks/edge/docker-compose.yml", "services: [\n"),
    ]);
    assert_eq!(checked(&project), (1, format!("file that compose files name: {path}")));
    let (_, report) = project.check(&[]);
    let all = report["coverage"]["subjects"].to_string();
    assert!(all.contains("1,\"reason\":\"compose file with names of files that Compose alone can resolve: infra/stacks/erp/docker-compose.yml"), "{all}");
    assert!(all.contains("of which it is not known what they name: infra/stacks/edge/docker-compose.yml (it is not valid YAML"), "{all}");
}

#[test]
fn whoever_says_so_on_purpose_is_told_nothing() {
    let project = with(&[
        (COMPOSE, "services: {web: {image: x, env_file: [a.env, b.env]}}\n"),
        ("infra/stacks/erp/a.env", ""),
        ("infra/stacks/erp/b.env", ""),
    ]);
    assert_eq!(checked(&project).0, 2);
    assert_eq!(named(&project.check(&["--only", "compose_hashes"]).1).0, 0, "some checks do not ask");
    let toml = project.read("audit/driftlock.toml");
    let excluding = toml.replace("[addons]", "exclude = [\"**/a.env\"]\n[addons]");
    project.file("audit/driftlock.toml", &excluding);
    assert_eq!(checked(&project), (1, "file that compose files name: infra/stacks/erp/b.env".to_owned()));
    project.file("audit/driftlock.toml", &format!("{toml}[files]\ninclude = []\n"));
    assert_eq!(checked(&project).0, 0);
}

#[test]
fn of_a_commit_what_its_files_name_is_told_too() {
    let project = Project::small();
    project.file(COMPOSE, "include: [db.yaml]\nservices: {web: {image: x, env_file: untracked.env}}\n");
    project.file(
        "infra/stacks/erp/db.yaml",
        "services: {db: {image: x, volumes: ['./db.conf:/c', './dir:/d']}}\n",
    );
    project.file("infra/stacks/erp/db.conf", "x");
    project.file("infra/stacks/erp/dir/x", "x");
    project.file(".gitignore", "untracked.env\naudit/runtime/\n");
    project.file("infra/stacks/erp/untracked.env", "x");
    git(&project, &["init", "-q"]);
    commit_all(&project, "first");
    std::fs::remove_file(project.path("infra/stacks/erp/db.conf")).unwrap();
    let told = project.ok(&["export", "--from", "git:HEAD"]).out();
    let line = "[INFO] Not locked: 2 files that compose files name: infra/stacks/erp/db.conf, infra/stacks/erp/db.yaml (";
    assert!(told.lines().any(|it| it.starts_with(line)), "{told}");
    let told = project.ok(&["export"]).out();
    assert!(
        told.contains(
            "2 files that compose files name: infra/stacks/erp/db.yaml, infra/stacks/erp/untracked.env"
        ),
        "{told}"
    );
}

#[test]
fn a_target_with_its_tree_elsewhere_is_asked_for_its_own_files() {
    let project = with(&[
        (COMPOSE, "services: {web: {image: x, env_file: [own.env, ../../../common.env]}}\n"),
        ("common.env", "x"),
    ]);
    project.file("srv/erp/docker-compose.yml", &project.read(COMPOSE));
    project.file("srv/erp/own.env", "x");
    project.file("srv/edge/docker-compose.yml", "services: {}\n");
    let toml = project.read("audit/driftlock.toml");
    let target = "[targets.prod]\nhost = \"local\"\nroot = \".\"\npaths = { \"infra/stacks\" = \"srv\" }\ndocker = \"off\"\n";
    project.file("audit/driftlock.toml", &format!("{toml}{target}"));
    let (code, report) = project.check(&["--target", "prod"]);
    assert_eq!(
        (code, named(&report)),
        (0, (1, "file that compose files name: infra/stacks/erp/own.env".to_owned()))
    );
    assert!(report.to_string().contains("or to files in [targets.prod]"), "{report:#}");
    assert_eq!(checked(&project), (1, "file that compose files name: common.env".to_owned()));
}

/// Where the paths of a random project lead, as docker-compose says.
const JUDGE: &str = "
import json, sys, yaml
config = yaml.safe_load(sys.stdin)
paths = [e['file'] for kind in ('configs', 'secrets') for e in (config.get(kind) or {}).values()]
for service in config['services'].values():
    for volume in service.get('volumes', []):
        source = volume['source'] if isinstance(volume, dict) else volume.rsplit(':', 1 + volume.endswith((':rw', ':ro', ':z')))[0]
        paths.append(source)
    paths += ['env:' + name for name in service.get('environment', {})]
print(json.dumps(paths))
";

/// A random project of services that extend others in other directories, and of files that each of them names. Every file
/// of variables sets one that has its name.
fn random_stack(dice: &mut Dice, project: &Project) {
    let dirs = ["stack", "stack/sub", "common", "common/deep"];
    let up = ["..", "../..", "..", "../.."];
    for (at, dir) in dirs.iter().enumerate() {
        let mut text = "version: '2.4'\nservices:\n".to_owned();
        let path = |dice: &mut Dice| {
            let beside = dice.once_in(2);
            let base = if beside { ".".to_owned() } else { format!("{}/{}", up[at], dice.one_of(&dirs)) };
            format!("{base}/f{}", dice.roll(4))
        };
        for service in 0..2 {
            let _ = writeln!(text, "  s{service}:\n    image: x");
            let to = at + 1 + dice.roll(3);
            if to < dirs.len() && !dice.once_in(3) {
                let (file, other) = (format!("{}/{}/parts.yml", up[at], dirs[to]), dice.roll(2));
                let _ = writeln!(text, "    extends: {{file: {file}, service: s{other}}}");
            }
            let _ = match dice.roll(3) {
                0 => writeln!(text, "    env_file: {}", path(dice)),
                1 => writeln!(text, "    env_file: [./f{}, {}/stack/f0]", dice.roll(4), up[at]),
                _ => Ok(()),
            };
            let (one, two) = (path(dice), path(dice));
            let _ = writeln!(
                text,
                "    volumes: ['{one}:/a{at}{service}', '{two}:/b{at}{service}:ro', 'named:/c']"
            );
        }
        let name = if at == 0 { "compose.yml" } else { "parts.yml" };
        project.file(&format!("{dir}/{name}"), &(text + "volumes: {named: {}}\n"));
        for number in 0..4 {
            let name = format!("{dir}/f{number}").replace('/', "_");
            project.file(&format!("{dir}/f{number}"), &format!("{name}=1\n"));
        }
    }
}

/// The files below the project that docker-compose makes of a stack.
fn judged(project: &Project) -> BTreeSet<String> {
    let mut compose = assert_cmd::Command::new("docker-compose");
    compose.current_dir(project.root()).args(["-f", "stack/compose.yml", "config"]);
    let config = compose.output().unwrap();
    assert!(config.status.success(), "{}", String::from_utf8_lossy(&config.stderr));
    let mut judge = assert_cmd::Command::new("python3");
    let judged = judge.args(["-c", JUDGE]).write_stdin(config.stdout).output().unwrap();
    let said = String::from_utf8_lossy(&judged.stderr);
    let paths: Vec<String> =
        serde_json::from_slice(&judged.stdout).unwrap_or_else(|error| panic!("{error} {said}"));
    let root = format!("{}/", project.root().display());
    let files =
        paths.iter().filter(|path| path.as_str() != "named").map(|path| match path.strip_prefix("env:") {
            Some(name) => name.replace('_', "/"),
            None => path.strip_prefix(&root).unwrap_or(path).to_owned(),
        });
    files.collect()
}

#[test]
fn a_random_stack_names_what_docker_compose_reads() {
    let seed = seed();
    let mut dice = Dice(seed);
    for round in 0..8 {
        let project = Project::empty();
        random_stack(&mut dice, &project);
        let said = project.ok(&["init"]).out();
        let below =
            said.lines().skip_while(|line| !line.starts_with("Files that compose files name")).skip(1);
        let named = below.take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_owned());
        let (parts, plain): (BTreeSet<String>, BTreeSet<String>) =
            named.partition(|path| path.ends_with("/parts.yml"));
        assert_eq!(plain, judged(&project), "seed {seed}, round {round}");
        project.file("audit/driftlock.toml", "[compose]\nfiles = [\"stack/compose.yml\"]\n");
        project.ok(&["export", "--accept"]);
        let told = checked(&project).0;
        assert_eq!(told, (plain.len() + parts.len()) as u64, "seed {seed}, round {round}");
    }
}
