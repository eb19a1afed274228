//! The other files that a compose file names: those that Compose reads with it, and single files that containers get.

use super::tree::{self, Key, Node, YamlError};

/// The part of a compose file that counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Portion {
    /// All of it.
    Whole,
    /// One service, which a service of another file extends.
    Service(String),
}

/// What a named file is to the one that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedRole {
    /// Another compose file, which may name more; its own names are relative to its directory, or to the one given here.
    Compose {
        /// The part of it that counts.
        portion: Portion,
        /// The directory that is written for it.
        directory: Option<String>,
    },
    /// A file that is taken as it is.
    Plain,
}

/// The names in a compose file, as they are written.
#[derive(Debug, Default)]
pub struct FileNames {
    /// Each path and what it is for.
    pub files: Vec<(String, NamedRole)>,
    /// The number of names that Compose alone can resolve: variables, a home directory, an address.
    pub unresolved: usize,
    /// Whether a variable stands anywhere, so that Compose reads `.env` for its value.
    pub has_variables: bool,
}

/// Finds the names in a compose file.
///
/// # Errors
/// When it is no single YAML document.
pub fn names_in(text: &str, portion: &Portion) -> Result<FileNames, YamlError> {
    let document = tree::parse(text)?;
    let mut names = FileNames { has_variables: has_variables(&document), ..FileNames::default() };
    match portion {
        Portion::Whole => names.take_whole(&document),
        Portion::Service(name) => names.take_chain(&document, name),
    }
    Ok(names)
}

/// Extending services of one file, one after the other, ends here at the latest.
const LONGEST_CHAIN: usize = 64;

impl FileNames {
    fn take_whole(&mut self, document: &Node) {
        for item in items(get(document, "include")) {
            self.take_include(item);
        }
        for (_, service) in pairs(get(document, "services")) {
            self.take_service(service);
        }
        for section in ["configs", "secrets"] {
            for (_, entry) in pairs(get(document, section)) {
                self.take_all(get(entry, "file"), &NamedRole::Plain);
            }
        }
    }

    /// A service that is extended, and those of the same file that it extends.
    fn take_chain(&mut self, document: &Node, name: &str) {
        let mut name = Some(name.to_owned());
        for _ in 0..LONGEST_CHAIN {
            let Some(service) = name.take().and_then(|name| get(get(document, "services")?, &name)) else {
                return;
            };
            self.take_service(service);
            name = get(service, "extends").and_then(extended_here).map(str::to_owned);
        }
    }

    fn take_include(&mut self, item: &Node) {
        let directory = get(item, "project_directory").and_then(text);
        if directory.is_some_and(|directory| resolved(directory).is_none()) {
            self.unresolved += 1;
            return;
        }
        let directory = directory.and_then(resolved);
        let path = if let Node::Map(_) = item { get(item, "path") } else { Some(item) };
        // Files behind the first are merged into it, so that their names have its directory.
        let first = items(path).next().and_then(text).and_then(resolved);
        for (position, path) in items(path).enumerate() {
            let beside_first = || first.as_deref().map(directory_of);
            let directory = directory.clone().or_else(|| beside_first().filter(|_| position > 0));
            self.take(path, &NamedRole::Compose { portion: Portion::Whole, directory });
        }
        self.take_all(get(item, "env_file"), &NamedRole::Plain);
    }

    fn take_service(&mut self, service: &Node) {
        for key in ["env_file", "label_file"] {
            for item in items(get(service, key)) {
                let path = if let Node::Map(_) = item { get(item, "path") } else { Some(item) };
                self.take_all(path, &NamedRole::Plain);
            }
        }
        if let Some(extends) = get(service, "extends")
            && let (Some(file), Some(name)) = (get(extends, "file"), get(extends, "service").and_then(text))
        {
            let role = NamedRole::Compose { portion: Portion::Service(name.to_owned()), directory: None };
            self.take(file, &role);
        }
        for volume in items(get(service, "volumes")) {
            self.take_volume(volume);
        }
    }

    fn take_volume(&mut self, volume: &Node) {
        match volume {
            Node::Map(_) if get(volume, "type").and_then(text) == Some("bind") => {
                self.take_all(get(volume, "source"), &NamedRole::Plain);
            }
            Node::Scalar { text, .. } => {
                let source = source_of(text);
                // Anything else is the name of a volume.
                if source.is_some_and(|source| source.starts_with(['.', '/', '~', '$'])) {
                    self.take_text(source.unwrap_or_default(), &NamedRole::Plain);
                }
            }
            _ => {}
        }
    }

    fn take_all(&mut self, node: Option<&Node>, role: &NamedRole) {
        items(node).for_each(|item| self.take(item, role));
    }

    fn take(&mut self, node: &Node, role: &NamedRole) {
        if let Some(text) = text(node).filter(|text| !text.is_empty()) {
            self.take_text(text, role);
        }
    }

    fn take_text(&mut self, text: &str, role: &NamedRole) {
        match resolved(text) {
            Some(path) => self.files.push((path, role.clone())),
            None => self.unresolved += 1,
        }
    }
}

/// The service of the same file that a service extends.
fn extended_here(extends: &Node) -> Option<&str> {
    if get(extends, "file").is_some() {
        return None;
    }
    text(extends).or_else(|| text(get(extends, "service")?))
}

/// The source of a volume in one line, up to the colon that no variable holds: `${A:-b}/c:/d`.
fn source_of(volume: &str) -> Option<&str> {
    let mut depth = 0usize;
    let colon = volume.char_indices().find(|(_, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        *c == ':' && depth == 0
    });
    colon.map(|(at, _)| &volume[..at])
}

/// A path without variables; `None` where Compose alone knows what is meant.
fn resolved(text: &str) -> Option<String> {
    let plain = text.replace("$$", "\0");
    let is_address = text.contains("://") || text.starts_with("git@") || text.starts_with("github.com/");
    (!plain.contains('$') && !text.starts_with('~') && !is_address).then(|| plain.replace('\0', "$"))
}

fn directory_of(path: &str) -> String {
    path.rsplit_once('/')
        .map_or_else(|| ".".to_owned(), |(dir, _)| if dir.is_empty() { "/" } else { dir }.to_owned())
}

fn has_variables(node: &Node) -> bool {
    match node {
        Node::Scalar { text, .. } => text.replace("$$", "").contains('$'),
        Node::List(list) => list.iter().any(|item| has_variables(item)),
        Node::Map(map) => map.values().any(|value| has_variables(value)),
        Node::Tagged(_, node) => has_variables(node),
    }
}

/// What stands behind a tag; nothing where the tag says that what stood there is taken away.
fn untagged(mut node: &Node) -> Option<&Node> {
    while let Node::Tagged(tag, inner) = node {
        if tag == "!reset" {
            return None;
        }
        node = inner;
    }
    Some(node)
}

pub(super) fn text(node: &Node) -> Option<&str> {
    if let Node::Scalar { text, .. } = node { Some(text) } else { None }
}

pub(super) fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Node::Map(map) = node else { return None };
    map.get(&Key::from(key.to_owned())).and_then(|node| untagged(node))
}

pub(super) fn pairs(node: Option<&Node>) -> impl Iterator<Item = (&Key, &Node)> {
    let map = if let Some(Node::Map(map)) = node { Some(map) } else { None };
    map.into_iter().flatten().filter_map(|(key, node)| Some((key, untagged(node)?)))
}

/// The items of a list, or the one thing that stands in its place.
pub(super) fn items(node: Option<&Node>) -> impl Iterator<Item = &Node> {
    let (list, one) = match node {
        Some(Node::List(list)) => (Some(list), None),
        other => (None, other),
    };
    list.into_iter().flatten().filter_map(|item| untagged(item)).chain(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Vec<String> {
        let names = names_in(text, &Portion::Whole).unwrap();
        names.files.into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn every_form_of_a_name_is_found() {
        for (text, paths) in [
            ("include: a.yml", &["a.yml"][..]),
            ("include: [a.yml, {path: b.yml, env_file: b.env}]", &["a.yml", "b.yml", "b.env"]),
            (
                "include: [{path: [a.yml, b.yml], env_file: [1.env, 2.env]}]",
                &["a.yml", "b.yml", "1.env", "2.env"],
            ),
            ("services: {web: {extends: {file: common.yml, service: base}}}", &["common.yml"]),
            ("services: {web: {extends: other}}", &[]),
            ("services: {web: {env_file: a.env}}", &["a.env"]),
            ("services: {web: {env_file: [a.env, {path: b.env, required: false}]}}", &["a.env", "b.env"]),
            ("services: {web: {label_file: l.env}}", &["l.env"]),
            ("services: {web: {env_file: !reset [a.env], label_file: !override [b.env]}}", &["b.env"]),
            ("configs: {c: {file: c.conf}, d: {content: x}, e: {external: true}}", &["c.conf"]),
            ("secrets: {s: {file: ./s.txt}, t: {environment: T}}", &["./s.txt"]),
            (
                "services: {web: {volumes: ['./a.conf:/a:ro', 'data:/data', /anonymous, '../b:/b']}}",
                &["./a.conf", "../b"],
            ),
            ("services: {web: {volumes: [{type: bind, source: a.conf, target: /a}]}}", &["a.conf"]),
            ("services: {web: {volumes: [{type: volume, source: data, target: /a}]}}", &[]),
            ("x: &x {env_file: x.env}\nservices: {web: {<<: *x}}", &["x.env"]),
            ("services: {web: {env_file: a$$b}}", &["a$b"]),
            ("", &[]),
            ("[1, 2]", &[]),
        ] {
            assert_eq!(plain(text), paths, "{text}");
        }
    }

    #[test]
    fn names_that_compose_alone_resolves_are_counted() {
        let text = "include: ['${DIR}/a.yml', 'oci://x/y', 'https://x/y.git']\n\
                    services: {web: {env_file: $A, volumes: ['~/x:/x', '${A:-/b}/c:/d', '$A:/e']}}";
        let names = names_in(text, &Portion::Whole).unwrap();
        assert_eq!((names.files, names.unresolved, names.has_variables), (vec![], 7, true));
    }

    #[test]
    fn of_an_extended_file_only_the_service_counts() {
        let text = "include: [no.yml]\nservices:\n  base: {env_file: base.env, extends: {service: low}}\n  \
                    low: {env_file: low.env, extends: {file: more.yml, service: lowest}}\n  other: {env_file: other.env}\n\
                    secrets: {s: {file: s.txt}}";
        let names = names_in(text, &Portion::Service("base".to_owned())).unwrap();
        let paths: Vec<_> = names.files.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["base.env", "low.env", "more.yml"]);
        let circle = "services: {a: {env_file: a.env, extends: b}, b: {extends: a}}";
        assert!(names_in(circle, &Portion::Service("a".to_owned())).is_ok());
    }
}
