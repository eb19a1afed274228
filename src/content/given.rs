//! The variables that compose files give a service: their names, and the files that give more. No value leaves this file.

use std::collections::BTreeSet;

use super::named::{get, items, text};
use super::tree::{self, Key, Node, YamlError};

/// The names of the variables of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GivenVariables {
    /// Those that have a value.
    pub set: BTreeSet<String>,
    /// Those that have none: Compose gives them if there are any where it runs.
    pub passed: BTreeSet<String>,
    /// The files that give more, as they are written, each with whether it must be there.
    pub files: Vec<(String, bool)>,
}

/// Why it cannot be told which variables a service gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnresolvedService {
    /// Other compose files are included.
    #[error("its compose files include others")]
    Include,
    /// The service extends another one.
    #[error("its service extends another one")]
    Extends,
    /// A name or a path has a variable in it.
    #[error("the name of a variable, or of an environment file, has a variable in it")]
    Variable,
    /// The files do not have the service.
    #[error("its compose files do not have its service any more")]
    NoService,
    /// A part of the service is of another shape than Compose takes.
    #[error("its environment is written in a way that Compose does not read")]
    Shape,
    /// A file is no YAML.
    #[error("one of its compose files: {0}")]
    Yaml(#[from] YamlError),
}

/// The variables of a service by its compose files, in the order in which they are merged.
///
/// # Errors
/// When the files alone do not tell.
pub fn variables_of(files: &[&str], service: &str) -> Result<GivenVariables, UnresolvedService> {
    let mut given = GivenVariables::default();
    let mut is_there = false;
    for file in files {
        let document = tree::parse(file)?;
        if items(get(&document, "include")).next().is_some() {
            return Err(UnresolvedService::Include);
        }
        let Some(service) = get(&document, "services").and_then(|all| get(all, service)) else { continue };
        is_there = true;
        if get(service, "extends").is_some() {
            return Err(UnresolvedService::Extends);
        }
        let Node::Map(keys) = service else { continue };
        if let Some(node) = keys.get(&Key::from("env_file".to_owned())) {
            let node = replaced(node, &mut || given.files.clear());
            for item in items(node) {
                given.files.extend(file_of(item)?);
            }
        }
        if let Some(node) = keys.get(&Key::from("environment".to_owned())) {
            let mut is_new = false;
            let node = replaced(node, &mut || is_new = true);
            if is_new {
                (given.set, given.passed) = (BTreeSet::new(), BTreeSet::new());
            }
            given.take(node)?;
        }
    }
    if is_there { Ok(given) } else { Err(UnresolvedService::NoService) }
}

/// What stands behind the tags of Compose, which say that it replaces what earlier files have, or takes it away.
fn replaced<'a>(mut node: &'a Node, clear: &mut dyn FnMut()) -> Option<&'a Node> {
    while let Node::Tagged(tag, inner) = node {
        if matches!(tag.as_str(), "!reset" | "!override") {
            clear();
        }
        if tag == "!reset" {
            return None;
        }
        node = inner;
    }
    Some(node)
}

/// An environment file of a service; none where nothing is named.
fn file_of(item: &Node) -> Result<Option<(String, bool)>, UnresolvedService> {
    let (path, required) = match item {
        Node::Map(_) => (get(item, "path"), get(item, "required").and_then(text)),
        item => (Some(item), None),
    };
    let Some(path) = path.and_then(text).filter(|path| !path.is_empty()) else {
        return if path.is_none_or(is_nothing) { Ok(None) } else { Err(UnresolvedService::Shape) };
    };
    let required = match required {
        None | Some("true") => true,
        Some("false") => false,
        Some(_) => return Err(UnresolvedService::Variable),
    };
    if path.contains('$') || path.starts_with('~') {
        return Err(UnresolvedService::Variable);
    }
    Ok(Some((path.to_owned(), required)))
}

fn is_nothing(node: &Node) -> bool {
    matches!(node, Node::Scalar { text, is_typed } if text.is_empty() || (*is_typed && matches!(text.as_str(), "~" | "null" | "Null" | "NULL")))
}

impl GivenVariables {
    fn take(&mut self, node: Option<&Node>) -> Result<(), UnresolvedService> {
        match node {
            None => {}
            Some(node) if is_nothing(node) => {}
            Some(Node::Map(map)) => {
                for (key, value) in map {
                    let is_passed = match value.as_ref() {
                        Node::Scalar { .. } => is_nothing(value) && !is_quoted_empty(value),
                        Node::Tagged(tag, _) if tag == "!reset" => {
                            self.set.remove(&key.text);
                            self.passed.remove(&key.text);
                            continue;
                        }
                        _ => return Err(UnresolvedService::Shape),
                    };
                    self.put(&key.text, is_passed)?;
                }
            }
            Some(list @ Node::List(_)) => {
                for item in items(Some(list)) {
                    let item = text(item).ok_or(UnresolvedService::Shape)?;
                    let (name, value) =
                        item.split_once('=').map_or((item, None), |(name, it)| (name, Some(it)));
                    self.put(name, value.is_none())?;
                }
            }
            Some(_) => return Err(UnresolvedService::Shape),
        }
        Ok(())
    }

    fn put(&mut self, name: &str, is_passed: bool) -> Result<(), UnresolvedService> {
        if name.contains('$') {
            return Err(UnresolvedService::Variable);
        }
        let (to, from) =
            if is_passed { (&mut self.passed, &mut self.set) } else { (&mut self.set, &mut self.passed) };
        from.remove(name);
        to.insert(name.to_owned());
        Ok(())
    }
}

/// Whether a text is empty because it is written so: `""`.
fn is_quoted_empty(node: &Node) -> bool {
    matches!(node, Node::Scalar { text, is_typed: false } if text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(files: &[&str]) -> String {
        match variables_of(files, "web") {
            Ok(given) => {
                let list = |all: &BTreeSet<String>| all.iter().cloned().collect::<Vec<_>>().join(",");
                let files =
                    given.files.iter().map(|(path, must)| format!("{path}{}", if *must { "" } else { "?" }));
                format!(
                    "{}|{}|{}",
                    list(&given.set),
                    list(&given.passed),
                    files.collect::<Vec<_>>().join(",")
                )
            }
            Err(why) => format!("{why:?}"),
        }
    }

    #[test]
    fn every_form_is_read() {
        let web = |text: &str| format!("services:\n  web:\n    image: a\n    {text}\n");
        for (text, expected) in [
            ("environment: {A: 1, B: '', C: , D: ~, E: '${X}', F: \"\"}", "A,B,E,F|C,D|"),
            ("environment: [A=1, B=, C, 'D=${X}']", "A,B,D|C|"),
            ("environment:", "||"),
            ("env_file: a.env", "||a.env"),
            ("env_file: [a.env, {path: b.env, required: false, format: raw}]", "||a.env,b.env?"),
            ("env_file: '${X}.env'", "Variable"),
            ("environment: ['${X}_A=1']", "Variable"),
            ("extends: base", "Extends"),
            ("environment: text", "Shape"),
        ] {
            assert_eq!(told(&[&web(text)]), expected, "{text}");
        }
        assert_eq!(told(&["include: a.yml", &web("")]), "Include");
        assert_eq!(told(&["services: {db: {image: a}}"]), "NoService");
        assert!(told(&["a: ["]).starts_with("Yaml"));
        let common = "x: &x {A: 1}\nservices: {web: {environment: {<<: *x, B: 2}}}";
        assert_eq!(told(&[common]), "A,B||");
    }

    #[test]
    fn later_files_add_and_replace() {
        let first = "services: {web: {environment: {A: 1, B: 1}, env_file: a.env}}";
        let second = |text: &str| format!("services: {{web: {{{text}}}}}");
        for (text, expected) in [
            ("environment: [B, C=1], env_file: [b.env]", "A,C|B|a.env,b.env"),
            ("environment: !override {C: 1}", "C||a.env"),
            ("environment: !reset [], env_file: !reset null", "||"),
            ("environment: {A: !reset null}", "B||a.env"),
        ] {
            assert_eq!(told(&[first, &second(text)]), expected, "{text}");
        }
    }
}
