//! `driftlock init`: look at the tree, write the configuration, say what was found.

mod older_agent;
mod security;

use crate::control::Environment;
use crate::model::printable_path;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::atomic::{LARGEST_TEXT, read_file_within, write_file};
use crate::audit::baseline_signature;
use crate::audit::line_ends::{ATTRIBUTES, attributes_to_add};
use crate::cli::Session;
use crate::cli::terminal::output;
use crate::cli::terminal::output::say;
use crate::config;
use crate::error::Failure;
use crate::git::Repository;
use crate::host::docker::discover;
use crate::host::docker::engine_version;
use crate::host::{
    Answer, COMPOSE_NAMES, FileQuery, Host as _, Layout, LocalHost, ModuleQuery, NameSearch, Query, Scope,
    Select, Watch, is_compose_name,
};
use crate::model::{Glob, LeftOut, escaped, printable};
use crate::store::runs;
use crate::terraform::needed_variables;

use security::SecurityFiles;

/// Look at the tree, write audit/driftlock.toml, say what was found
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock init           in the directory that holds your stacks and addon modules
  driftlock init --force   write the configuration anew
  driftlock init --from config.yaml
                           turn what the older Python agent was told into audit/driftlock.toml
  driftlock init --security   lock files of this machine that say who may do what, too")]
pub(crate) struct InitArgs {
    /// Replace an existing audit/driftlock.toml
    #[arg(long)]
    force: bool,
    /// Propose files of this machine that say who may do what: accounts, sudo, sshd, keys, cron, units
    #[arg(long)]
    security: bool,
    /// Write the configuration of the agent from FILE, the config.yaml of the older Python agent (TFDriftAgent)
    #[arg(long, value_name = "FILE", conflicts_with = "security")]
    from: Option<PathBuf>,
}

pub(crate) fn run(session: &Session, args: &InitArgs) -> Result<u8, Failure> {
    let (root, _) = session.root_or_here()?;
    let file = root.join(config::PATH);
    if file.exists() && !args.force {
        return Err(Failure::new(format!("{} exists already", printable_path(&file)))
            .hint("replace it with: driftlock init --force"));
    }
    if let Some(from) = &args.from {
        older_agent::run(session, from, &root)?;
        return Ok(0);
    }
    let mut found = Found::below(&root, &session.control.environment)?;
    if args.security {
        let host = LocalHost::new(Layout::of_root(&root), discover::find(&session.control.environment));
        found.named.security = security::on_this_machine(&host)?;
    }
    let dir = root.join("audit");
    std::fs::create_dir_all(&dir).map_err(|error| Failure::at(&dir, &error))?;
    let added = added_for_git(&root)?;
    let (old, new) = (read_file_within(&file, LARGEST_TEXT).unwrap_or_default(), found.configuration());
    write_file(&file, new.as_bytes()).map_err(|error| Failure::at(&file, &error))?;
    output::print(found.words(&added, &session.control.environment).as_bytes())?;
    let gone = tables_gone(&String::from_utf8_lossy(&old), &new);
    if !gone.is_empty() {
        let file = printable_path(&file);
        let gone = gone.join(", ");
        say(&format!(
            "warning: {file}: what was written in {gone} is not in it any more; take it from an earlier commit if it is needed"
        ));
    }
    baseline_signature::of_new_configuration(&root, &*session.control.events)?;
    Ok(0)
}

/// The tables of one configuration that another one does not have, as they are written: `[trust]`.
fn tables_gone(old: &str, new: &str) -> Vec<String> {
    let [old, new] = [old, new].map(|text| text.parse::<toml::Table>().unwrap_or_default());
    let gone = old.iter().filter(|(name, value)| value.is_table() && !new.contains_key(*name));
    gone.map(|(name, _)| format!("[{}]", escaped(name.as_bytes()))).collect()
}

/// What the tree holds.
#[derive(Default)]
struct Found {
    compose: Vec<String>,
    /// Patterns that match those compose files, and whatever Compose would start to read beside them.
    patterns: Vec<String>,
    /// What these match and detection would not find.
    exclude: Vec<String>,
    /// Addon roots and how many modules each holds.
    roots: BTreeMap<String, usize>,
    /// What the compose files name.
    named: NamedByCompose,
    /// Environments: the name, the directory with the code, and the variables that it probably needs.
    environments: Vec<(String, String, Vec<String>)>,
    /// What could not be looked at.
    troubles: Vec<String>,
    /// What was not looked at.
    beyond: Vec<LeftOut>,
}

/// Files that compose files name, beside compose files that are found and modules.
#[derive(Default)]
struct NamedByCompose {
    /// Those that are proposed.
    here: Vec<String>,
    /// Those that git ignores: other places do not have them.
    ignored: Vec<String>,
    /// Those outside of the project.
    outside: Vec<String>,
    /// Files of this machine that say who may do what, where these are asked for.
    security: SecurityFiles,
    /// Environment files beside the compose files, or named by them: those that git ignores and the others.
    environment: BTreeMap<String, bool>,
}

impl Found {
    fn below(root: &Path, environment: &Environment) -> Result<Self, Failure> {
        let host = LocalHost::new(Layout::of_root(root), discover::find(environment));
        let files = compose_query(Select::Detect, Vec::new());
        let modules = ModuleQuery {
            select: Select::Detect,
            exclude: vec![],
            named: vec![],
            known: BTreeMap::new(),
            scope: Scope::default(),
            all_bytecode: false,
        };
        let answers = host.observe(&[files, Query::Modules(modules)], &Watch::default())?;
        let mut found = Self::default();
        let mut detected = BTreeSet::new();
        for answer in answers {
            match answer {
                Answer::Files(files) => {
                    found.beyond = files.left_out;
                    for (path, seen) in files.files {
                        found.note(&path, matches!(seen, crate::host::Seen::File(..)));
                        detected.insert(path);
                    }
                }
                Answer::Containers(_) | Answer::System(_) | Answer::Ports(_) => {}
                Answer::Modules(modules) => {
                    for (place, seen) in modules.modules {
                        found.note_module(&place, matches!(seen, crate::host::SeenModule::Whole(_)));
                    }
                }
            }
        }
        found.patterns = shared_patterns(&found.compose);
        found.exclude = passed_over(&found.patterns);
        let strays = strays(&host, &found, &detected)?;
        found.exclude.extend(strays.iter().map(|path| excluding(path, &detected)).collect::<BTreeSet<_>>());
        found.follow_names(&host, root, &detected)?;
        found.environments = environments_below(root);
        Ok(found)
    }

    /// Finds the files that the compose files name.
    fn follow_names(
        &mut self,
        host: &LocalHost,
        root: &Path,
        detected: &BTreeSet<Vec<u8>>,
    ) -> Result<(), Failure> {
        let is_in_module = |path: &[u8]| {
            let below =
                |root: &String| path.strip_prefix(root.as_bytes())?.strip_prefix(b"/").map(<[u8]>::to_vec);
            self.roots.keys().filter_map(below).any(|rest| rest.contains(&b'/'))
        };
        let (layout, watch) = (Layout::of_root(root), Watch::default());
        let is_known = |path: &[u8]| detected.contains(path) || is_in_module(path);
        let search =
            NameSearch { host, layout: &layout, content: &|_| None, is_known: &is_known, watch: &watch };
        let found = search.from(detected.iter().cloned())?;
        let (outside, here): (Vec<_>, Vec<_>) =
            found.files.into_iter().partition(|path| path.starts_with(b"/"));
        let ignored = ignored_by_git(root, &here);
        let mut named = NamedByCompose::default();
        for path in here {
            let is_ignored = ignored.contains(&path);
            match String::from_utf8(path) {
                Ok(path) if is_ignored => named.ignored.push(path),
                Ok(path) => named.here.push(path),
                Err(error) => self.troubles.push(escaped(error.as_bytes())),
            }
        }
        named.environment = environment_files(root, detected, named.here.iter().chain(&named.ignored));
        named.outside = outside.iter().map(|path| escaped(path)).collect();
        self.named = named;
        for (path, why) in found.unknown {
            self.troubles.push(format!("{} ({why})", escaped(&path)));
        }
        Ok(())
    }

    fn note(&mut self, path: &[u8], readable: bool) {
        match std::str::from_utf8(path) {
            Ok(path) if readable => self.compose.push(path.to_owned()),
            _ => self.troubles.push(escaped(path)),
        }
    }

    fn note_module(&mut self, place: &[u8], readable: bool) {
        let root = place.iter().rposition(|&b| b == b'/').map_or(&b"."[..], |cut| &place[..cut]);
        match std::str::from_utf8(root) {
            Ok(root) => *self.roots.entry(root.to_owned()).or_default() += 1,
            Err(_) => self.troubles.push(escaped(root)),
        }
        if !readable {
            self.troubles.push(escaped(place));
        }
    }

    fn configuration(&self) -> String {
        let list = |key: &str, items: &[String]| {
            let line = |item: &String| format!("    {},\n", toml::Value::from(item.as_str()));
            match items {
                [] => format!(
                    "# {key} = []  # none was found; without this line they are looked for everywhere"
                ),
                items => format!("{key} = [\n{}]", items.iter().map(line).collect::<String>()),
            }
        };
        let roots: Vec<String> = self.roots.keys().map(|root| Glob::literal(root)).collect();
        let (compose, roots) = (list("files", &self.patterns), list("roots", &roots));
        let (files, environment) = (self.named.configuration(&list), self.named.environment(&list));
        let targets = self.targets();
        let exclude = match self.exclude.as_slice() {
            [] => "# exclude = [\"infra/stacks/*.backup-*/**\"]".to_owned(),
            exclude => list("exclude", exclude),
        };
        format!(
            "# What driftlock looks at. Paths are relative to the directory that holds audit/;\n\
             # \"*\" stops at \"/\", \"**\" does not. An empty list turns a section off.\n\
             \n\
             [compose]\n\
             # Docker Compose files, by every name that Compose reads of itself. A pattern that matches nothing is an error.\n\
             {compose}\n\
             # Of those, what is left out; a line for backups might be \"infra/stacks/*.backup-*/**\".\n\
             {exclude}\n\
             \n\
             [addons]\n\
             # Directories whose direct subdirectories are Odoo addon modules.\n\
             {roots}\n\
             # Relative to an addon root; bytecode in __pycache__, version control and editor files are left out anyway.\n\
             # exclude = [\"*/static/lib/**\"]\n\
             \n\
             # Other files worth locking; absolute paths may stand here.\n\
             {files}\n\
             \n\
             {environment}\n\
             \n\
             # A machine whose own cron runs driftlock, with the tree laid out differently.\n\
             # [targets.production]\n\
             # host = \"local\"\n\
             # root = \"/opt/erp\"\n\
             # paths = {{ \"infra/stacks\" = \"/srv/stacks\" }}\n\
             {targets}"
        )
    }

    /// The tables of environments; empty where there are none.
    fn targets(&self) -> String {
        if self.environments.is_empty() {
            return String::new();
        }
        let head = "\n# Terraform code. env: the variables that Terraform receives, of which it needs these, by its providers and backend.\n";
        let text = |text: &String| toml::Value::from(text.as_str()).to_string();
        let table = |(name, dir, needed): &(String, String, Vec<String>)| {
            let key = if name.contains('.') { text(name) } else { name.clone() };
            let list = needed.iter().map(text).collect::<Vec<_>>().join(", ");
            let env = if needed.is_empty() { String::new() } else { format!(", env = [{list}]") };
            format!("[targets.{key}]\nterraform = {{ dir = {}{env} }}\n", text(dir))
        };
        head.to_owned() + &self.environments.iter().map(table).collect::<Vec<_>>().join("\n")
    }

    /// The command that comes next.
    fn next(&self) -> String {
        let has_files = !(self.compose.is_empty() && self.roots.is_empty());
        match self.environments.as_slice() {
            [(name, ..)] if !has_files => format!("driftlock check --env {name}"),
            [_, ..] if !has_files => "driftlock check --all".to_owned(),
            _ => "driftlock export --accept".to_owned(),
        }
    }

    fn words(&self, added: &[(&str, String)], environment: &Environment) -> String {
        let mut text = format!("Compose files: {}\n", self.compose.len());
        for file in &self.compose {
            let _ = writeln!(text, "  {}", escaped(file.as_bytes()));
        }
        let _ = writeln!(text, "Addon roots: {}", self.roots.len());
        for (root, modules) in &self.roots {
            let noun = if *modules == 1 { "module" } else { "modules" };
            let _ = writeln!(text, "  {}: {modules} {noun}", escaped(root.as_bytes()));
        }
        self.named.say(&mut text);
        if !self.environments.is_empty() {
            let _ = writeln!(text, "Terraform environments: {}", self.environments.len());
        }
        for (name, dir, needed) in &self.environments {
            let needs = if needed.is_empty() { "no variables".to_owned() } else { needed.join(", ") };
            let _ =
                writeln!(text, "  {name}: {} (needs {})", escaped(dir.as_bytes()), escaped(needs.as_bytes()));
        }
        for LeftOut { count, reason, .. } in &self.beyond {
            let _ = writeln!(text, "Not looked at: {count} {reason}");
        }
        for trouble in &self.troubles {
            let _ = writeln!(text, "Could not be read: {trouble}");
        }
        let _ = match engine_version(&discover::find(environment)) {
            Ok(version) => writeln!(text, "Docker engine: {}", escaped(version.as_bytes())),
            Err(why) => {
                writeln!(text, "Docker engine: none answers ({})", escaped(why.to_string().as_bytes()))
            }
        };
        let _ = writeln!(text, "Wrote: {}", config::PATH);
        for (file, lines) in added {
            let _ = writeln!(text, "Added to {file}: {}", lines.trim().replace('\n', ", "));
        }
        text + &format!("Next: {}\n", self.next())
    }
}

impl NamedByCompose {
    /// The table of other files; `list` writes a list.
    fn configuration(&self, list: &dyn Fn(&str, &[String]) -> String) -> String {
        let patterns = |paths: &[String]| paths.iter().map(|path| Glob::literal(path)).collect::<Vec<_>>();
        let mut text = match self.here.as_slice() {
            [] => "# [files]\n# include = [\"infra/stacks/edge-traefik/dynamic/*.yml\"]".to_owned(),
            here => format!("# Compose files name these.\n[files]\n{}", list("include", &patterns(here))),
        };
        if !self.security.patterns.is_empty() {
            let all = [patterns(&self.here), self.security.patterns.clone()].concat();
            let head = "# Compose files name these, and files of this machine that say who may do what.";
            text = format!("{head}\n[files]\n{}", list("include", &all));
        }
        if !self.ignored.is_empty() {
            text += "\n# Git ignores these, which compose files name: a target locks what it alone has as files in [targets.NAME].";
            for pattern in patterns(&self.ignored) {
                let _ = write!(text, "\n#     {}", toml::Value::from(pattern));
            }
        }
        text
    }

    /// The table of environment files. Those that git ignores are on some machines only.
    fn environment(&self, list: &dyn Fn(&str, &[String]) -> String) -> String {
        let patterns = |is_ignored: bool| {
            let its = self.environment.iter().filter(move |(_, ignored)| **ignored == is_ignored);
            its.map(|(path, _)| Glob::literal(path)).collect::<Vec<_>>()
        };
        let (here, ignored) = (patterns(false), patterns(true));
        let head = "# Environment files: their keys are locked, and whether each is set, never a value.";
        let mut text = match here.as_slice() {
            [] => format!("{head}\n# [[env]]\n# files = [\"infra/stacks/*/.env\"]"),
            here => format!("{head}\n[[env]]\n{}", list("files", here)),
        };
        if !ignored.is_empty() {
            text += "\n# Git ignores these: list them where every place that is checked has them.";
            for pattern in ignored {
                let _ = write!(text, "\n#     {}", toml::Value::from(pattern));
            }
        }
        text
    }

    fn say(&self, text: &mut String) {
        for (heading, paths) in [
            ("Files that compose files name", &self.here),
            ("Files that compose files name and git ignores, not proposed", &self.ignored),
            ("Files that compose files name outside of the project, not proposed", &self.outside),
            (
                "Environment files, of which the keys can be locked",
                &self.environment.keys().cloned().collect(),
            ),
        ] {
            if paths.is_empty() {
                continue;
            }
            let _ = writeln!(text, "{heading}: {}", paths.len());
            for path in paths {
                let _ = writeln!(text, "  {}", printable(path));
            }
        }
        let SecurityFiles { patterns, files, unread } = &self.security;
        if *files > 0 {
            let _ = writeln!(text, "Files that say who may do what: {files}, by {} patterns", patterns.len());
        }
        for path in unread {
            let _ = writeln!(text, "Not proposed, because this user may not read it: {path}");
        }
    }
}

/// The directories of Terraform code that are environments where nobody says otherwise.
fn environments_below(root: &Path) -> Vec<(String, String, Vec<String>)> {
    let environments = config::detected(root).into_iter();
    let each = environments.filter_map(|(name, terraform)| {
        let needed = needed_variables(&root.join(&terraform.dir));
        Some((name, terraform.dir.to_str()?.to_owned(), needed))
    });
    each.collect()
}

/// Environment files below the root, each with whether git ignores it: those among `named`, and those that Compose reads by
/// itself beside its files.
fn environment_files<'a>(
    root: &Path,
    compose: &BTreeSet<Vec<u8>>,
    named: impl Iterator<Item = &'a String>,
) -> BTreeMap<String, bool> {
    let is_environment = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let is_sample = [".example", ".sample", ".dist", ".template"].iter().any(|end| name.ends_with(end));
        !is_sample
            && (name == ".env"
                || name.starts_with(".env.")
                || name.rsplit_once('.').is_some_and(|(_, end)| end == "env"))
    };
    let beside = compose.iter().filter_map(|file| {
        let file = std::str::from_utf8(file).ok()?;
        let path = file.rsplit_once('/').map_or_else(|| ".env".to_owned(), |(dir, _)| format!("{dir}/.env"));
        root.join(&path).is_file().then_some(path)
    });
    let all: BTreeSet<String> = named.filter(|path| is_environment(path)).cloned().chain(beside).collect();
    let paths: Vec<Vec<u8>> = all.iter().map(|path| path.clone().into_bytes()).collect();
    let ignored = ignored_by_git(root, &paths);
    all.into_iter().map(|path| (path.clone(), ignored.contains(path.as_bytes()))).collect()
}

/// Those of these paths below the root that git ignores; where git cannot tell, none.
fn ignored_by_git(root: &Path, paths: &[Vec<u8>]) -> BTreeSet<Vec<u8>> {
    let ignored = || {
        let repository = Repository::around(root).ok()?;
        let from_top: Vec<Vec<u8>> = paths.iter().map(|path| repository.path(path)).collect();
        let index = repository.index().ok()?;
        let unlisted: Vec<&[u8]> =
            from_top.iter().map(Vec::as_slice).filter(|path| !index.lists(path)).collect();
        let ignored = index.ignored(&unlisted).ok()?;
        let each = paths.iter().zip(&from_top).filter(|(_, from_top)| ignored.contains(*from_top));
        Some(each.map(|(path, _)| path.clone()).collect())
    };
    ignored().unwrap_or_default()
}

fn compose_query(select: Select, exclude: Vec<Glob>) -> Query {
    Query::Files(FileQuery { select, exclude, named: vec![], scope: Scope::default(), beside: false })
}

fn compiled(texts: &[String]) -> Vec<Glob> {
    texts.iter().filter_map(|text| Glob::new(text).ok()).collect()
}

/// Patterns that also match what joins these compose files later, and those of stacks yet to come beside theirs.
fn shared_patterns(files: &[String]) -> Vec<String> {
    let pattern = |file: &String| {
        let Some((stack, _)) = file.rsplit_once('/') else { return COMPOSE_NAMES.to_owned() };
        let above = stack.rsplit_once('/').map(|(above, _)| format!("{}/", Glob::literal(above)));
        format!("{}*/{COMPOSE_NAMES}", above.unwrap_or_default())
    };
    files.iter().map(pattern).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The directories that patterns lead into and detection does not.
fn passed_over(patterns: &[String]) -> Vec<String> {
    let leads_into =
        |dir: &str| patterns.iter().any(|text| text.rsplit_once('/').is_some_and(|(it, _)| it == dir));
    let mut all = Vec::new();
    if patterns.iter().any(|text| text.contains('/')) {
        all.extend(["**/.*/**", "**/node_modules/**"]);
    }
    all.extend(leads_into("*").then_some("audit/**"));
    all.into_iter().map(str::to_owned).collect()
}

/// What the patterns match and detection has not found: names that only look alike, links that lead back.
fn strays(host: &LocalHost, found: &Found, detected: &BTreeSet<Vec<u8>>) -> Result<Vec<Vec<u8>>, Failure> {
    if found.patterns.is_empty() {
        return Ok(Vec::new());
    }
    let query = compose_query(Select::Patterns(compiled(&found.patterns)), compiled(&found.exclude));
    let answers = host.observe(&[query], &Watch::default())?;
    let matched = answers.into_iter().flat_map(|answer| match answer {
        Answer::Files(files) => files.files.into_keys().collect(),
        Answer::Modules(_) | Answer::Containers(_) | Answer::System(_) | Answer::Ports(_) => Vec::new(),
    });
    Ok(matched.filter(|path| !detected.contains(path)).collect())
}

/// A pattern that leaves out a stray and nothing that was detected: its name anywhere, where that is no compose file's;
/// its directory, where that was not looked into; else the file.
fn excluding(path: &[u8], detected: &BTreeSet<Vec<u8>>) -> String {
    let cut = path.iter().rposition(|&b| b == b'/').map_or(0, |cut| cut + 1);
    let (dir, name) = path.split_at(cut);
    let is_in = |dir: &[u8]| detected.iter().any(|path| path.starts_with(dir));
    let is_above = || detected.iter().any(|path| path.split(|&b| b == b'/').any(|part| part == name));
    if !is_compose_name(name) && !is_above() {
        format!("**/{}", spelled(name))
    } else if !dir.is_empty() && !is_in(dir) {
        format!("{}**", spelled(dir))
    } else {
        spelled(path)
    }
}

/// The pattern that matches a path; a byte that is no text stands for any.
fn spelled(path: &[u8]) -> String {
    let chunk =
        |chunk: std::str::Utf8Chunk<'_>| Glob::literal(chunk.valid()) + &"?".repeat(chunk.invalid().len());
    path.utf8_chunks().map(chunk).collect()
}

/// Inside a work tree, keeps runs out of git and line ends of lock files as they are: adds to the root's `.gitignore` and
/// `.gitattributes` what they lack. Gives the files with the lines that each has got.
fn added_for_git(root: &Path) -> Result<Vec<(&'static str, String)>, Failure> {
    if !root.ancestors().any(|dir| dir.join(".git").exists()) {
        return Ok(Vec::new());
    }
    let mut added = Vec::new();
    for (name, missing) in [(".gitignore", ignore_runtime as Missing), (ATTRIBUTES, attributes_to_add)] {
        let file = root.join(name);
        let mut text = match read_file_within(&file, LARGEST_TEXT) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Failure::at(&file, &error)),
        };
        let lines = missing(root, &text);
        if !lines.is_empty() {
            text.extend_from_slice(lines.as_bytes());
            write_file(&file, &text).map_err(|error| Failure::at(&file, &error))?;
            added.push((name, lines));
        }
    }
    Ok(added)
}

/// What a file at the root lacks, by its content.
type Missing = fn(&Path, &[u8]) -> String;

/// What a `.gitignore` with this content lacks for runs to be kept out of git.
fn ignore_runtime(_root: &Path, text: &[u8]) -> String {
    let is_there = |known: &[u8]| {
        let known = String::from_utf8_lossy(known);
        known.trim().trim_start_matches('/').trim_end_matches('/') == runs::PATH
    };
    if text.split(|&b| b == b'\n').any(is_there) {
        return String::new();
    }
    let end = if text.is_empty() || text.ends_with(b"\n") { "" } else { "\n" };
    format!("{end}{}/\n", runs::PATH)
}
