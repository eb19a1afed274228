//! Answers to calls that driftlock does not have and people type first: the command that does what was meant.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::call::Call;
use crate::check::{CHECKS, Evidence, read_section};
use crate::config::GROUP_MARK;
use crate::error::Failure;
use crate::explain;
use crate::model::{Observed, escaped, quoted_name};
use crate::project::Project;
use crate::section::SECTIONS;

/// Words that other tools have as commands, what driftlock makes of them, and the command.
const WORDS: [(&str, &str, &str); 14] = [
    ("plan", "check compares, and changes nothing", "driftlock check"),
    (
        "apply",
        "driftlock check prints the undo of each finding; accept makes what is there the baseline",
        "driftlock accept",
    ),
    ("commit", "accept makes what is there the baseline", "driftlock accept"),
    ("undo", "explain prints the undo of a finding", "driftlock explain SUBJECT"),
    ("restore", "explain prints the undo of a finding", "driftlock explain SUBJECT"),
    ("revert", "explain prints the undo of a finding", "driftlock explain SUBJECT"),
    ("log", "history lists the runs", "driftlock history"),
    ("runs", "history lists the runs", "driftlock history"),
    ("list", "status lists this machine and every target; history lists the runs", "driftlock status"),
    ("ls", "status lists this machine and every target; history lists the runs", "driftlock status"),
    ("targets", "status lists this machine and every target", "driftlock status"),
    ("show", "report shows the newest run; explain shows one subject", "driftlock report"),
    ("scan", "check compares", "driftlock check"),
    ("version", "it is an option", "driftlock --version"),
];

/// What to say of a call that could not be parsed, where it is known what was meant.
pub(crate) fn of(error: &clap::Error, call: &Call, definition: &clap::Command) -> Option<Failure> {
    let command = call.command()?;
    let has = |option: &str| has(definition, command, option);
    match error.kind() {
        ErrorKind::InvalidSubcommand => other_command(command),
        ErrorKind::UnknownArgument => match text(error, ContextKind::InvalidArg)? {
            "--json" if has("format") => Some(json(command)),
            word if !word.starts_with('-') && has("target") => {
                Some(other_word(call, command, word, has("only")))
            }
            _ => None,
        },
        ErrorKind::InvalidValue if text(error, ContextKind::InvalidArg)? == "--only <CHECK>" => {
            no_check(call, command, text(error, ContextKind::InvalidValue)?)
        }
        _ => None,
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

fn other_command(word: &str) -> Option<Failure> {
    let (_, meaning, command) = WORDS.iter().find(|(known, ..)| *known == word)?;
    Some(Failure::new(format!("there is no command \"{word}\": {meaning}")).hint(*command))
}

/// Whether a command has an option.
fn has(definition: &clap::Command, command: &str, option: &str) -> bool {
    let found = definition.find_subcommand(command);
    found.is_some_and(|it| it.get_arguments().any(|argument| argument.get_long() == Some(option)))
}

fn json(command: &str) -> Failure {
    let failure = Failure::new(format!("{command} has no option --json: JSON is one of its formats"));
    failure.hint(format!("driftlock {command} --format json"))
}

/// A word that a command takes none of: mostly the name of what was to be looked at.
fn other_word(call: &Call, command: &str, word: &str, takes_checks: bool) -> Failure {
    let name = quoted_name(word.as_bytes());
    let refused = |why: &str| Failure::new(format!("{command} takes no names; {} {why}", quote(word)));
    let project = call.project();
    let group = word.strip_prefix(GROUP_MARK);
    if group.zip(project.as_ref()).is_some_and(|(group, project)| project.config.groups.has(group)) {
        return refused("is a group").hint(format!("driftlock {command} --target {name}"));
    }
    if project.as_ref().is_some_and(|project| project.config.targets.contains_key(word)) {
        return refused("is a target").hint(format!("driftlock {command} --target {name}"));
    }
    if takes_checks && CHECKS.iter().any(|check| check.id() == word) {
        return refused("is a check").hint(format!("driftlock {command} --only {word}"));
    }
    if let Some((noun, _)) = project.as_ref().and_then(|project| subject(project, word)) {
        return refused(&format!("is {}", with_article(noun))).hint(format!("driftlock explain {name}"));
    }
    let known = "is neither a target nor a subject of the baseline";
    refused(known).hint("driftlock status names this machine and every target")
}

/// A name where a check is expected.
fn no_check(call: &Call, command: &str, word: &str) -> Option<Failure> {
    let project = call.project()?;
    let name = quoted_name(word.as_bytes());
    let refused = |what: &str| Failure::new(format!("--only names a check; {} is {what}", quote(word)));
    if project.config.targets.contains_key(word) {
        return Some(refused("a target").hint(format!("driftlock {command} --target {name}")));
    }
    let (noun, check) = subject(&project, word)?;
    let failure = refused(&format!("{}, which {check} compares", with_article(noun)));
    Some(failure.hint(format!("driftlock explain {name} (it alone), or driftlock {command} --only {check}")))
}

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

fn quote(word: &str) -> String {
    format!("\"{}\"", escaped(word.as_bytes()))
}

/// What a subject of the baseline is called, and the first check that compares it.
fn subject(project: &Project, word: &str) -> Option<(&'static str, &'static str)> {
    let locks = project.locks(&project.source(), None).ok()?;
    let locked = SECTIONS.iter().filter_map(|section| {
        let baseline = Ok(read_section(*section, &locks.group(section.lock_files())).ok()?);
        let observed = Observed::Off(String::new());
        Some(Evidence::of(*section, baseline, observed))
    });
    let known = explain::known(&locked.collect::<Vec<_>>(), &[]);
    let source = explain::find(&known, word).first()?.known.source;
    let check = CHECKS.iter().find(|check| check.meta().source == Some(source))?;
    Some((check.meta().labels.singular, check.id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_never_hides_a_command_and_names_one() {
        let definition = <super::super::Cli as clap::CommandFactory>::command();
        let is_command = |name: &str| definition.find_subcommand(name).is_some();
        for (word, _, command) in WORDS {
            let named = command.split(' ').nth(1).unwrap();
            assert!(!is_command(word), "{word}");
            assert!(is_command(named) || named == "--version", "{command}");
        }
    }
}
