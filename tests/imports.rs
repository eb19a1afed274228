//! Which way imports point: between the rooms of the crate, inside them, and between commands.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The rooms of the crate, outermost first: each may import from those in later rows alone.
const RANKS: &[&[&str]] = &[
    &["cli"],
    &["serve"],
    &["watch", "fleet"],
    &["remedy"],
    &["audit"],
    &["notify", "explain"],
    &["events"],
    &["store"],
    &["check", "provenance", "report", "project", "who"],
    &["section", "acknowledge", "trust", "terraform", "desired"],
    &["baseline", "config", "host"],
    &["atomic", "content", "git"],
    &["error"],
    &["control"],
    &["model"],
    &["random", "published"],
];

fn rank(room: &str) -> usize {
    let rank = RANKS.iter().position(|row| row.contains(&room));
    rank.unwrap_or_else(|| panic!("src/{room} has no place in the order of imports: give it one"))
}

/// A path of modules, from the crate's root.
pub(crate) type Module = Vec<String>;

/// The source files by their modules, without comments, strings' contents left in, and without the unit tests at their end.
pub(crate) fn sources() -> BTreeMap<Module, String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = crate::support::disk::files_below(&src).into_iter();
    let code = files.filter(|(path, _)| path.extension().is_some_and(|ending| ending == "rs"));
    code.map(|(path, bytes)| (module_of(&path), production(&String::from_utf8(bytes).unwrap()))).collect()
}

fn module_of(path: &Path) -> Module {
    let path = path.with_extension("");
    let mut parts: Module = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") || parts == ["lib"] || parts == ["main"] {
        parts.pop();
    }
    parts
}

fn production(text: &str) -> String {
    let end = text.find("\n#[cfg(test)]\nmod ").unwrap_or(text.len());
    let lines = text[..end].lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths of a `use` tree: `a::{b, c::{self, D as E}}` has `a::b`, `a::c` and `a::c::D`.
fn leaves(tree: &str, before: &[String], out: &mut Vec<Module>) {
    let tree = tree.trim();
    let parts = |text: &str| {
        let words =
            text.split("::").map(|word| word.split_whitespace().next().unwrap_or_default().to_owned());
        words.filter(|word| !word.is_empty()).collect::<Module>()
    };
    let Some((head, inner)) = tree.split_once('{') else {
        let mut path = [before.to_vec(), parts(tree)].concat();
        path.pop_if(|last| last == "self");
        return out.push(path);
    };
    let before = [before.to_vec(), parts(head)].concat();
    let inner = inner.trim_end().strip_suffix('}').unwrap();
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 0 && c == ',' {
            if !inner[begin..at].trim().is_empty() {
                leaves(&inner[begin..at], &before, out);
            }
            begin = at + 1;
        }
    }
}

/// A path as it is written in `module`, from the crate's root; `None` where it leads out of the crate.
fn resolved(path: &[String], module: &[String]) -> Option<Module> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([module, &path[1..]].concat()),
        "super" => Some([&module[..module.len().checked_sub(ups)?], &path[ups..]].concat()),
        _ => None,
    }
}

/// What the files import, and what they pass on under a path of their own.
#[derive(Default)]
struct Imports {
    modules: BTreeSet<Module>,
    named: BTreeMap<Module, Vec<Module>>,
    passed_on: BTreeMap<Module, Module>,
}

impl Imports {
    fn read() -> Self {
        let sources = sources();
        let mut imports = Self { modules: sources.keys().cloned().collect(), ..Self::default() };
        for (module, text) in &sources {
            imports.read_file(module, text);
        }
        imports
    }

    fn read_file(&mut self, module: &Module, text: &str) {
        let mut named = Vec::new();
        let mut rest = text;
        let mut body = String::new();
        while let Some(at) = rest.find("use ") {
            let line_begin = rest[..at].rfind('\n').map_or(0, |at| at + 1);
            let before = rest[line_begin..at].trim();
            let is_use =
                before.is_empty() || before == "pub" || before.starts_with("pub(") && before.ends_with(')');
            let Some(end) = rest[at..].find(';').filter(|_| is_use) else {
                body += &rest[..at + 4];
                rest = &rest[at + 4..];
                continue;
            };
            body += &rest[..line_begin];
            let mut paths = Vec::new();
            leaves(&rest[at + 4..at + end], &[], &mut paths);
            for mut path in paths {
                let child = [&module[..], &path[..1]].concat();
                if self.modules.contains(&child) {
                    path.insert(0, "self".to_owned());
                }
                let Some(path) = resolved(&path, module) else { continue };
                if before.is_empty() {
                    named.push(path);
                } else if let Some(last) = path.last().cloned() {
                    self.passed_on.insert([&module[..], &[last]].concat(), path);
                }
            }
            rest = &rest[at + end + 1..];
        }
        body += rest;
        for (at, prefix) in body.match_indices("crate::").chain(body.match_indices("super::")) {
            let before = body[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let end = body[at..].find(|c| !is_path(c)).unwrap_or(body.len() - at);
            let path: Module = body[at..at + end.max(prefix.len())]
                .split("::")
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect();
            named.extend(resolved(&path, module));
        }
        self.named.insert(module.clone(), named);
    }

    /// The file that holds what a path names, through whatever passes it on.
    fn owner(&self, path: &[String], depth: usize) -> Option<Module> {
        for cut in (1..=path.len()).rev() {
            let (head, tail) = path.split_at(cut);
            if let Some(real) = self.passed_on.get(head).filter(|real| depth < 8 && *real != head) {
                return self.owner(&[real, tail].concat(), depth + 1);
            }
            if self.modules.contains(head) {
                return Some(head.to_vec());
            }
        }
        None
    }

    /// The files that each file imports, besides those that it lies in or that lie in it.
    fn arrows(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let one = |(module, named): (&Module, &Vec<Module>)| {
            let owners = named.iter().filter_map(|path| self.owner(path, 0));
            let others = owners.filter(|owner| !module.starts_with(owner) && !owner.starts_with(module));
            (module.clone(), others.collect())
        };
        self.named.iter().map(one).collect()
    }
}

/// A way from `at` back to `from`, if there is one.
fn way_back(
    arrows: &BTreeMap<Module, BTreeSet<Module>>,
    from: &Module,
    at: &Module,
    seen: &mut BTreeSet<Module>,
) -> Option<Vec<Module>> {
    for next in arrows.get(at).into_iter().flatten() {
        if next == from {
            return Some(vec![at.clone()]);
        }
        if seen.insert(next.clone())
            && let Some(way) = way_back(arrows, from, next, seen)
        {
            return Some([vec![at.clone()], way].concat());
        }
    }
    None
}

#[test]
fn imports_are_read_rightly() {
    let mut paths = Vec::new();
    leaves("crate::{model::Glob, host::{self, A as B},\n run}", &[], &mut paths);
    let paths: Vec<String> = paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["crate::model::Glob", "crate::host", "crate::host::A", "crate::run"]);
    let module = |text: &str| text.split('/').map(str::to_owned).collect::<Module>();
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Module>();
    assert_eq!(resolved(&path("super::super::a::B"), &module("x/y/z")), Some(path("x::a::B")));
    assert_eq!(resolved(&path("std::fs"), &module("x")), None);
    assert_eq!(module_of(Path::new("check/mod.rs")), ["check"]);
    assert_eq!(module_of(Path::new("check/addon_hashes.rs")), ["check", "addon_hashes"]);
    let mut imports = Imports::default();
    for name in ["a", "a/b", "c"] {
        imports.modules.insert(module(name));
    }
    imports.read_file(&module("a"), "mod b;\npub use b::Thing;\n");
    imports.read_file(&module("c"), "use crate::a::Thing;\nfn f() { crate::a::b::g() }\n");
    assert_eq!(imports.arrows()[&module("c")], BTreeSet::from([module("a/b")]));
}

#[test]
fn imports_point_one_way_between_rooms() {
    let mut seen = 0;
    for (file, imported) in Imports::read().arrows() {
        for other in imported {
            let [room, import] = [&file, &other].map(|path| path.first().cloned().unwrap_or_default());
            if room.is_empty() || import.is_empty() || room == import {
                continue;
            }
            assert!(rank(&room) < rank(&import), "src/{} imports from {}", file.join("/"), other.join("/"));
            seen += 1;
        }
    }
    assert!(seen > 300, "only {seen} imports were found");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let arrows = Imports::read().arrows();
    assert!(arrows.values().map(BTreeSet::len).sum::<usize>() > 800, "too few imports were found");
    for file in arrows.keys() {
        if let Some(way) = way_back(&arrows, file, file, &mut BTreeSet::new()) {
            let names: Vec<String> = way.iter().map(|file| file.join("/")).collect();
            panic!("{} are a circle of imports", names.join(" -> "));
        }
    }
}

#[test]
fn no_command_imports_another() {
    for (file, imported) in Imports::read().arrows() {
        let [cli, commands, command, ..] = file.as_slice() else { continue };
        if cli != "cli" || commands != "commands" {
            continue;
        }
        for other in imported.iter().filter(|other| other.starts_with(&file[..2]) && other.len() > 2) {
            assert_eq!(other[2], *command, "src/{} imports from {}", file.join("/"), other.join("/"));
        }
    }
}

/// Words of the command line's own libraries and of the process: nothing below may name them.
const OF_THE_COMMAND_LINE: [&str; 10] = [
    "clap::",
    "console::",
    "indicatif",
    "dialoguer",
    "println!",
    "eprintln!",
    "process::exit",
    "IsTerminal",
    "stderr()",
    "stdout()",
];
/// What jobs get as values from `control`.
const OF_CONTROL: [&str; 6] =
    ["SystemTime", "chrono::", "env::var", "env::args", "env::current_dir", "env::home_dir"];

#[test]
fn clock_environment_and_terminal_are_named_where_they_belong() {
    let mut users = BTreeSet::new();
    for (file, text) in sources() {
        let room = file.first().map_or("", String::as_str);
        let shown = || file.join("/");
        for word in OF_THE_COMMAND_LINE.into_iter().filter(|word| text.contains(word)) {
            users.insert(word);
            assert_eq!(room, "cli", "src/{} names {word}", shown());
        }
        for word in OF_CONTROL.into_iter().filter(|word| text.contains(word)) {
            users.insert(word);
            assert!(["cli", "control"].contains(&room), "src/{} names {word}", shown());
        }
    }
    assert!(users.len() > 10, "{users:?}");
}
