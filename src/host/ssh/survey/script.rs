//! The script that is sent to a server: what stands in survey.sh, and calls made of a layout and the queries.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use super::budget::Budget;
use super::pattern::{at_least, at_most, encode, may_end_here, parts_of, quoted, residuals};
use super::reader::Reader;
use crate::control::nonce;
use crate::host::compose_names::{is_compose_name, is_passed_over};
use crate::host::modules::may_hold_modules;
use crate::host::system::Request;
use crate::host::{FileQuery, Layout, ModuleQuery, Query, Scope, Select, ServerCache, SystemQuery};
use crate::model::{Glob, Tree, any_match};

pub(super) const FUNCTIONS: &str = include_str!("survey.sh");
/// What is asked of the system, beside files.
const SYSTEM: &str = include_str!("system.sh");

/// So many files of modules that the baseline names are worth a second script beside the first.
const MANY: usize = 1_000;

/// The questions to a server's disk, and the marks of its answer.
pub(in crate::host::ssh) struct Survey {
    script: Vec<u8>,
    nonce: String,
    calls: usize,
    /// The length of what stands at the end of the script and starts it.
    calling: usize,
    budget: Budget,
    memory: Option<Arc<ServerCache>>,
    /// Whether all bytecode is told of.
    all_bytecode: bool,
}

/// The form in which find tells what tells one state of a file from another.
const STATS: &str = "stats=':%D:%i:%s:%T@:%C@:%F'\n";
/// Has the stats of files told in place of their digests.
const RECALLS: &str = "recalls=1\n";
/// Has modules listed by find, where it can.
const LISTS_PLAINLY: &str = "lists_plainly=1\n";
/// Has all bytecode told.
const ALL_BYTECODE: &str = "all_bytecode=1\n";

impl Survey {
    /// Asks all that `queries` need of the files that `layout` places; `None` where they need none.
    #[cfg(test)]
    pub(in crate::host::ssh) fn new(layout: &Layout, queries: &[Query]) -> Option<Self> {
        Self::written(layout, queries, None, usize::MAX).map(|(whole, _)| whole)
    }

    /// The same of a server that may tell of `most` files, if that was said. Where the baseline names modules with many
    /// files, the second survey asks for a half of them, so that a server can look with two processors.
    pub(in crate::host::ssh) fn side_by_side(
        layout: &Layout,
        queries: &[Query],
        most: Option<u64>,
        memory: Option<&Arc<ServerCache>>,
    ) -> Option<(Self, Option<Self>)> {
        let remembering = |survey: Self| survey.remembering(memory, true);
        let (first, second) = Self::written(layout, queries, most, MANY)?;
        Some((remembering(first), second.map(remembering)))
    }

    /// The same, where what was read before is not read again, if it `recalls`; in any case what is read is remembered.
    pub(super) fn remembering(self, memory: Option<&Arc<ServerCache>>, recalls: bool) -> Self {
        let Some(memory) = memory else { return self };
        let recalls = if recalls && memory.recalls() { RECALLS } else { "" };
        let settings = [STATS, recalls].concat();
        let at = self.script.len() - self.calling;
        let script = [&self.script[..at], settings.as_bytes(), &self.script[at..]].concat();
        Self { script, memory: Some(Arc::clone(memory)), ..self }
    }

    /// Asks for these modules of an answer as a whole, as some of their files have moved.
    pub(in crate::host::ssh) fn again(&self, modules: &[Vec<u8>]) -> Self {
        let calls: BTreeSet<Vec<u8>> =
            modules.iter().filter_map(|path| called(&[b"module", path, b"whole"])).collect();
        let mut functions = bare(FUNCTIONS).into_bytes();
        functions.extend_from_slice(LISTS_PLAINLY.as_bytes());
        if self.all_bytecode {
            functions.extend_from_slice(ALL_BYTECODE.as_bytes());
        }
        skips_nothing(&mut functions);
        let survey =
            Self { all_bytecode: self.all_bytecode, ..Self::calls(&functions, &calls, &self.budget) };
        survey.remembering(self.memory.as_ref(), false)
    }

    /// A script of functions that makes these calls.
    fn calls(functions: &[u8], calls: &BTreeSet<Vec<u8>>, budget: &Budget) -> Self {
        let nonce = nonce();
        let calling = calling(calls, &nonce);
        let script = [functions, &calling].concat();
        let (budget, memory) = (budget.clone(), None);
        Self {
            script,
            nonce,
            calls: calls.len(),
            calling: calling.len(),
            budget,
            memory,
            all_bytecode: false,
        }
    }

    /// The same; with at least `many` files in named modules there is a second one.
    pub(super) fn written(
        layout: &Layout,
        queries: &[Query],
        most: Option<u64>,
        many: usize,
    ) -> Option<(Self, Option<Self>)> {
        let mut writer = Writer::new(layout);
        // What one query leaves out of a module may count for another.
        let about_modules = |query: &&Query| matches!(query, Query::Modules(_));
        writer.all_bytecode =
            queries.iter().any(|query| matches!(query, Query::Modules(query) if query.all_bytecode));
        writer.skips = queries.iter().filter(about_modules).count() == 1;
        for query in queries {
            match query {
                Query::Files(query) => writer.files(query),
                Query::Modules(query) => writer.modules(query),
                Query::System(query) => writer.system(query),
                Query::Containers(_) => continue,
            }
            writer.queries += 1;
        }
        if writer.queries == 0 {
            return None;
        }
        writer.detections();
        writer.places();
        let budget = Budget::new(queries, most);
        let aside = writer.set_aside(many);
        let functions = writer.functions();
        let all_bytecode = writer.all_bytecode;
        let survey =
            |calls: &BTreeSet<Vec<u8>>| Self { all_bytecode, ..Self::calls(&functions, calls, &budget) };
        Some((survey(&writer.calls), (!aside.is_empty()).then(|| survey(&aside))))
    }

    /// A script that makes so many calls.
    pub(super) fn written_as(script: Vec<u8>, nonce: String, calls: usize, budget: Budget) -> Self {
        Self { script, nonce, calls, calling: 0, budget, memory: None, all_bytecode: false }
    }

    /// The standard input of `sh -s`.
    pub(in crate::host::ssh) fn script(&self) -> &[u8] {
        &self.script
    }

    /// Reads what the script writes.
    pub(in crate::host::ssh) fn reader(&self) -> Reader {
        Reader::new(&self.nonce, self.calls, self.budget.clone()).remembering(self.memory.clone())
    }
}

/// A script without its comments and without the blanks before its lines: they need not travel.
pub(super) fn bare(script: &str) -> String {
    let lines = script.lines().map(str::trim_start);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

/// A part of the layout: a repository prefix, and where it lies.
struct SearchBase<'a> {
    number: usize,
    prefix: Vec<&'a [u8]>,
    place: Vec<u8>,
}

/// Collects calls and the functions that they need.
struct Writer<'a> {
    layout: &'a Layout,
    bases: Vec<SearchBase<'a>>,
    queries: usize,
    /// Whether files that a query excludes are not hashed.
    skips: bool,
    /// Whether all bytecode is hashed.
    all_bytecode: bool,
    /// Whether anything in modules is left out unread.
    leaves_out: bool,
    /// Whether anything is asked of the system.
    asks_system: bool,
    functions: Vec<u8>,
    calls: BTreeSet<Vec<u8>>,
    /// The calls for modules that the baseline names, with how much there is of each: its files there, and itself.
    of_modules: BTreeMap<Vec<u8>, usize>,
    /// Contexts of detection by base: for compose files and for addon roots.
    detect: BTreeMap<usize, (Vec<String>, Vec<String>)>,
    named_files: BTreeSet<Vec<u8>>,
    named_modules: BTreeSet<Vec<u8>>,
}

/// The number of the base of absolute paths.
const ABSOLUTE: usize = usize::MAX;

impl<'a> Writer<'a> {
    fn new(layout: &'a Layout) -> Self {
        let base = |(number, (prefix, place)): (usize, (&'a [u8], &Path))| SearchBase {
            number,
            prefix: prefix.split(|&b| b == b'/').filter(|part| !part.is_empty()).collect(),
            place: bytes(place),
        };
        Self {
            layout,
            bases: layout.places().enumerate().map(base).collect(),
            queries: 0,
            skips: false,
            all_bytecode: false,
            leaves_out: false,
            asks_system: false,
            functions: Vec::new(),
            calls: BTreeSet::new(),
            of_modules: BTreeMap::new(),
            detect: BTreeMap::new(),
            named_files: BTreeSet::new(),
            named_modules: BTreeSet::new(),
        }
    }

    fn call(&mut self, words: &[&[u8]]) {
        self.calls.extend(called(words));
    }

    /// Takes calls for modules out, until those that stay and those that are taken have as many files, if there are many.
    fn set_aside(&mut self, many: usize) -> BTreeSet<Vec<u8>> {
        let (mut aside, mut sides) = (BTreeSet::new(), (0, 0));
        let is_split = self.of_modules.len() > 1 && self.of_modules.values().sum::<usize>() >= many;
        for (call, files) in std::mem::take(&mut self.of_modules) {
            if is_split && sides.1 < sides.0 {
                sides.1 += files;
                aside.insert(call);
            } else {
                sides.0 += files;
                self.calls.insert(call);
            }
        }
        aside
    }

    fn context(&self, base: usize) -> String {
        if base == ABSOLUTE { format!("q{}a", self.queries) } else { format!("q{}b{base}", self.queries) }
    }

    fn files(&mut self, query: &FileQuery) {
        self.contexts(&query.scope, &query.exclude, &[], query.beside);
        match &query.select {
            Select::Named => {}
            Select::Detect => self.detect_by(|contexts| &mut contexts.0),
            Select::Patterns(globs) => {
                for glob in globs.iter().filter(|glob| query.scope.may_meet(glob)) {
                    self.walks(b"file", glob);
                }
            }
        }
        for host in query.named.iter().filter_map(|path| self.layout.locate(path)) {
            self.named_files.insert(bytes(&host));
        }
    }

    fn modules(&mut self, query: &ModuleQuery) {
        let left_out: &[Glob] = if self.skips { &query.exclude } else { &[] };
        self.leaves_out |= !left_out.is_empty();
        self.contexts(&query.scope, &[], left_out, false);
        match &query.select {
            Select::Named => {}
            Select::Detect => {
                self.detect_by(|contexts| &mut contexts.1);
                self.mounted_candidates(&[vec!["**"]]);
            }
            Select::Patterns(globs) => {
                let globs = || globs.iter().filter(|glob| may_hold_modules(&query.scope, glob));
                globs().for_each(|glob| self.walks(b"root", glob));
                let relative = globs().filter(|glob| !glob.text().starts_with('/'));
                self.mounted_candidates(&relative.map(parts_of).collect::<Vec<_>>());
            }
        }
        for place in &query.named {
            let Some(host) = self.layout.locate(place) else { continue };
            let name = place.rsplit(|&b| b == b'/').next().unwrap_or(place);
            let whole = any_match(&query.exclude, name) || query.exclude.iter().any(|glob| glob.covers(name));
            let context = if whole { "whole".to_owned() } else { self.context(ABSOLUTE) };
            let host = bytes(&host);
            let files = query.known.get(place).map_or(0, Tree::len) + 1;
            self.of_modules.extend(called(&[b"module", &host, context.as_bytes()]).map(|call| (call, files)));
            self.named_modules.insert(host);
        }
    }

    fn system(&mut self, query: &SystemQuery) {
        self.asks_system = true;
        for request in query.requests() {
            match &request {
                Request::File { name, path, lines } => {
                    self.call(&[b"system_file", name.as_bytes(), path.as_bytes(), lines.as_bytes()]);
                }
                Request::List { name, path } => {
                    self.call(&[b"system_list", name.as_bytes(), path.as_bytes()]);
                }
                Request::Owners { name } => self.call(&[b"system_owners", name.as_bytes()]),
                Request::Search { name, dir, suffix, texts } => {
                    let words = [b"system_search", name.as_bytes(), dir.as_bytes(), suffix.as_bytes()];
                    let words = words.into_iter().chain(texts.iter().map(Vec::as_slice));
                    self.call(&words.collect::<Vec<&[u8]>>());
                }
                Request::Sums { name, path } => self.call(&[b"system_sums", name.as_bytes(), path]),
                Request::Run { name, run, timeout, most } => {
                    // One byte more tells that there is more.
                    let (seconds, bytes) = (timeout.as_secs().to_string(), (most + 1).to_string());
                    let words = [b"system_run", name.as_bytes(), seconds.as_bytes(), bytes.as_bytes()];
                    let words = words.into_iter().chain(run.iter().map(String::as_bytes));
                    self.call(&words.collect::<Vec<&[u8]>>());
                }
            }
        }
    }

    /// Walks along a pattern, from every place of the layout that it leads to.
    fn walks(&mut self, end: &[u8], glob: &Glob) {
        let parts = parts_of(glob);
        if glob.text().starts_with('/') {
            let context = self.context(ABSOLUTE);
            self.call(&[b"walk", end, context.as_bytes(), b"/", encode(&parts).as_bytes()]);
            return;
        }
        let mut walks = Vec::new();
        for base in &self.bases {
            for rest in residuals(&parts, &base.prefix) {
                walks.push((self.context(base.number), base.place.clone(), encode(&rest)));
            }
        }
        for (context, place, rest) in walks {
            self.call(&[b"walk", end, context.as_bytes(), &place, rest.as_bytes()]);
        }
    }

    /// A place of the layout may itself be a module, in a root that one of `patterns` matches.
    fn mounted_candidates(&mut self, patterns: &[Vec<&str>]) {
        let is_root = |prefix: &[&[u8]]| {
            patterns.iter().any(|parts| residuals(parts, prefix).iter().any(|rest| may_end_here(rest)))
        };
        let mut found = Vec::new();
        for base in &self.bases {
            if let [above @ .., _] = base.prefix.as_slice()
                && is_root(above)
            {
                found.push((self.context(base.number), base.place.clone()));
            }
        }
        for (context, place) in found {
            self.call(&[b"candidate", context.as_bytes(), &place]);
        }
    }

    fn detect_by(&mut self, which: impl Fn(&mut (Vec<String>, Vec<String>)) -> &mut Vec<String>) {
        for number in 0..self.bases.len() {
            let context = self.context(number);
            which(self.detect.entry(number).or_default()).push(context);
        }
    }

    /// Detection goes through every place of the layout that it can see.
    fn detections(&mut self) {
        for (number, (files, roots)) in std::mem::take(&mut self.detect) {
            let (prefix, place) = (self.bases[number].prefix.clone(), self.bases[number].place.clone());
            let Some(seen) = visible(&prefix) else { continue };
            if seen < prefix.len() || prefix.last().is_some_and(|name| is_compose_name(name)) {
                let host = self.layout.locate(&prefix[..seen].join(&b'/')).map(|host| bytes(&host));
                for context in &files {
                    if let Some(host) = &host {
                        self.call(&[b"end_file", context.as_bytes(), host]);
                    }
                }
                continue;
            }
            if let [above @ .., _] = prefix.as_slice()
                && let Some(host) = self.layout.locate(&above.join(&b'/'))
            {
                let base = self.base_of(above);
                for context in &roots {
                    let query = context.split('b').next().unwrap_or_default();
                    let context = format!("{query}b{base}");
                    self.call(&[b"root_of", context.as_bytes(), &bytes(&host), &place]);
                }
            }
            let top: &[u8] = if prefix.is_empty() { b"top" } else { b"" };
            let (files, roots) = (files.join(" "), roots.join(" "));
            self.call(&[b"detect_in", files.as_bytes(), roots.as_bytes(), &place, top]);
        }
    }

    /// The base that a repository path lies in.
    fn base_of(&self, parts: &[&[u8]]) -> usize {
        let holding = self.bases.iter().filter(|base| parts.starts_with(&base.prefix));
        holding.max_by_key(|base| base.prefix.len()).map_or(ABSOLUTE, |base| base.number)
    }

    /// The layout's own places, and what lies between them.
    fn places(&mut self) {
        let mut places: BTreeSet<Vec<u8>> = BTreeSet::new();
        for base in &self.bases {
            places.insert(base.place.clone());
            let above = (0..base.prefix.len()).map(|end| base.prefix[..end].join(&b'/'));
            places.extend(above.filter_map(|path| Some(bytes(&self.layout.locate(&path)?))));
        }
        for place in places {
            self.call(&[b"fact", &place]);
        }
    }

    /// The functions that decide, for the current query, what needs no look; one set for each base.
    fn contexts(&mut self, scope: &Scope, exclude: &[Glob], within: &[Glob], notices: bool) {
        let within: Vec<Vec<&str>> = within.iter().map(parts_of).collect();
        let skipped = |directories: bool| {
            at_most_of(within.iter().map(|parts| (Vec::new(), parts.clone())), directories)
        };
        let (skipped, skipped_directory) = (skipped(false), skipped(true));
        let absolute = SearchBase { number: ABSOLUTE, prefix: Vec::new(), place: Vec::new() };
        let mut out = Vec::new();
        for base in self.bases.iter().chain([&absolute]) {
            let context = self.context(base.number);
            let excluded = exclude.iter().flat_map(|glob| below(base, glob));
            let mut body = self.shadows(base);
            body.extend(at_most_of(excluded, true));
            define(&mut out, &context, "excluded", &body, b"return 1");
            let wanted = match &scope.include {
                None => Vec::new(),
                Some(include) => at_least_of(include.iter().flat_map(|glob| below(base, glob))),
            };
            let otherwise: &[u8] = if scope.include.is_none() { b"return 0" } else { b"return 1" };
            define(&mut out, &context, "wanted", &wanted, otherwise);
            let module = format!(
                "{context}_wanted \"$1\" || {context}_wanted \"$1/__manifest__.py\" || {context}_wanted \"$1/__openerp__.py\""
            );
            define(&mut out, &context, "wanted_module", b"", module.as_bytes());
            define(&mut out, &context, "notices", b"", if notices { b"return 0" } else { b"return 1" });
            define(&mut out, &context, "skipped", &skipped, b"return 1");
            define(&mut out, &context, "skipped_directory", &skipped_directory, b"return 1");
        }
        self.functions.extend(out);
    }

    /// Things that an exception's place hides.
    fn shadows(&self, base: &SearchBase<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        for other in &self.bases {
            let Some(rest) =
                other.prefix.strip_prefix(base.prefix.as_slice()).filter(|rest| !rest.is_empty())
            else {
                continue;
            };
            let hidden = quoted(&[trimmed(&base.place), b"/", &rest.join(&b'/')].concat());
            out.extend([b"case $1 in ", &hidden[..], b") return 0 ;; esac\n"].concat());
        }
        if base.number == ABSOLUTE { Vec::new() } else { out }
    }

    /// All that the calls stand on.
    fn functions(&mut self) -> Vec<u8> {
        for host in self.named_files.clone() {
            self.call(&[b"look", &host]);
        }
        skips_nothing(&mut self.functions);
        members(&mut self.functions, "is_named_file", &self.named_files);
        members(&mut self.functions, "is_named_module", &self.named_modules);
        let setting = |is_on: bool, line: &'static str| if is_on { line } else { "" };
        let settings =
            [setting(self.all_bytecode, ALL_BYTECODE), setting(!self.leaves_out, LISTS_PLAINLY)].concat();
        let system = if self.asks_system { bare(SYSTEM) } else { String::new() };
        [bare(FUNCTIONS).as_bytes(), system.as_bytes(), settings.as_bytes(), &self.functions].concat()
    }
}

/// A call of the script; `None` where it cannot be sent: no path has a NUL.
fn called(words: &[&[u8]]) -> Option<Vec<u8>> {
    let quoted: Vec<Vec<u8>> = words[1..].iter().map(|word| quoted(word)).collect();
    let is_sound = words.iter().all(|word| !word.contains(&0));
    is_sound.then(|| [b"call ", words[0], b" ", &quoted.join(&b' ')].concat())
}

/// The end of a script, which starts it.
fn calling(calls: &BTreeSet<Vec<u8>>, nonce: &str) -> Vec<u8> {
    let mut script = b"survey() {\n:\n".to_vec();
    for call in calls {
        script.extend([call.as_slice(), b"\n"].concat());
    }
    script.extend_from_slice(format!("}}\nmain {nonce} </dev/null\n").as_bytes());
    script
}

/// The number of a prefix's components that detection goes through: all of them, or up to one that is a compose file by its
/// name; `None` where one is passed over.
fn visible(prefix: &[&[u8]]) -> Option<usize> {
    for (depth, name) in prefix.iter().enumerate() {
        if is_compose_name(name) {
            return Some(depth + 1);
        }
        if is_passed_over(if depth == 0 { b"" } else { b"x" }, name) {
            return None;
        }
    }
    Some(prefix.len())
}

/// The rest of a pattern over repository paths below a base.
fn below<'g>(base: &SearchBase<'_>, glob: &'g Glob) -> Vec<(Vec<u8>, Vec<&'g str>)> {
    if glob.text().starts_with('/') != (base.number == ABSOLUTE) {
        return Vec::new();
    }
    let rests = residuals(&parts_of(glob), &base.prefix).into_iter();
    rests.map(|rest| (trimmed(&base.place).to_vec(), rest)).collect()
}

fn at_least_of<'g>(patterns: impl Iterator<Item = (Vec<u8>, Vec<&'g str>)>) -> Vec<u8> {
    let each = patterns.flat_map(|(base, parts)| {
        [b"case $1 in ", &at_least(&base, &parts)[..], b") return 0 ;; esac\n"].concat()
    });
    each.collect()
}

/// The body of a function that is sure of what it accepts; where it is asked for `directories` only, patterns that
/// cover what lies below them count.
fn at_most_of<'g>(patterns: impl Iterator<Item = (Vec<u8>, Vec<&'g str>)>, directories: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for made in patterns.filter_map(|(base, parts)| at_most(&base, &parts)) {
        if made.directories && !directories {
            continue;
        }
        out.extend_from_slice(b"case $1 in\n");
        if !made.doubtful.is_empty() {
            out.extend([&made.doubtful.join(&b"|"[..])[..], b") ;;\n"].concat());
        }
        let test: &[u8] = if made.directories { b"[ ! -f \"$1\" ] && return 0" } else { b"return 0" };
        out.extend([&made.sure.join(&b"|"[..])[..], b") ", test, b" ;;\nesac\n"].concat());
    }
    out
}

/// The context of modules of which everything counts.
fn skips_nothing(out: &mut Vec<u8>) {
    define(out, "whole", "skipped", b"", b"return 1");
    define(out, "whole", "skipped_directory", b"", b"return 1");
}

fn define(out: &mut Vec<u8>, context: &str, name: &str, body: &[u8], otherwise: &[u8]) {
    out.extend([context.as_bytes(), b"_", name.as_bytes(), b"() {\n", body, otherwise, b"\n}\n"].concat());
}

/// A function that knows a set of paths, by directory: long lists are searched in two short steps.
pub(super) fn members(out: &mut Vec<u8>, function: &str, paths: &BTreeSet<Vec<u8>>) {
    let mut by_directory: BTreeMap<&[u8], Vec<u8>> = BTreeMap::new();
    for path in paths.iter().filter(|path| !path.contains(&0)) {
        let cut = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
        let names = by_directory.entry(&path[..cut]).or_insert_with(|| b"/".to_vec());
        names.extend_from_slice(path.get(cut + 1..).unwrap_or_default());
        names.push(b'/');
    }
    out.extend([function.as_bytes(), b"() {\ncase ${1%/*} in\n"].concat());
    for (directory, names) in by_directory {
        out.extend(
            [
                &quoted(directory)[..],
                b") case ",
                &quoted(&names),
                b" in *\"/${1##*/}/\"*) return 0 ;; esac ;;\n",
            ]
            .concat(),
        );
    }
    out.extend_from_slice(b"esac\nreturn 1\n}\n");
}

fn trimmed(place: &[u8]) -> &[u8] {
    place.strip_suffix(b"/").unwrap_or(place)
}

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}
