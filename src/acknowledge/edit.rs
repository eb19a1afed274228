//! Changing the file: one writer at a time, and what people wrote into it stays.

use std::io;
use std::path::Path;
use std::time::Duration;

use data_encoding::BASE64;
use rustix::io::Errno;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, Value};

use super::file::{Rules, parse, text_of};
use super::{Acknowledgement, PATH};
use crate::atomic::{hold_alone, replace_file_held};
use crate::config::ConfigError;
use crate::control::waits;
use crate::model::{in_words, readable};

/// How long to wait for others who change it.
const PATIENCE: Duration = waits::ACKNOWLEDGED.most;
/// How a new file begins.
const HEAD: &str = "# Findings that somebody answers for, for a time; driftlock ack writes them, and keeps comments and order.\n";
/// The name of the array.
const KEY: &str = "acknowledged";

/// One change of the file.
#[derive(Clone, Debug)]
pub enum Edit {
    /// A new entry, at the end.
    Add(Acknowledgement),
    /// Another one in the place of the entry at an index; both are of the same subject.
    Put(usize, Acknowledgement),
    /// The entry at an index goes.
    Remove(usize),
}

/// Why the file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It is not as it must be.
    #[error(transparent)]
    Malformed(#[from] ConfigError),
    /// The system refused.
    #[error("{PATH}: {}", in_words(.0))]
    Refused(#[from] io::Error),
    /// Others are changing what is in the directory.
    #[error("{PATH}: another driftlock is writing there; try again when it is done")]
    Busy,
    /// A file in its place would part it from what the link leads to.
    #[error("{PATH}: it is a link, and nothing is written through one; put the file itself there")]
    Link,
    /// The entries are written in another way.
    #[error("{PATH}: it cannot be changed as it is written; begin each entry with a line [[{KEY}]]")]
    OtherForm,
}

/// Changes the file below `root`: `decide` sees what it holds while nobody else can change it, and says what to do
/// and what to tell of it.
///
/// # Errors
/// When `decide` says no, or the file cannot be read or written; it is then as it was.
pub fn edit<T, E: From<EditError>>(
    root: &Path,
    rules: &Rules<'_>,
    decide: impl FnOnce(&[Acknowledgement]) -> Result<(Vec<Edit>, T), E>,
) -> Result<T, E> {
    let path = root.join(PATH);
    let _held = path.parent().map(hold).transpose()?;
    if path.is_symlink() {
        return Err(EditError::Link.into());
    }
    let text = text_of(root).map_err(EditError::from)?;
    let (new, told) = edited(&text, rules, decide)?;
    if let Some(new) = new {
        replace_file_held(&path, new.as_bytes()).map_err(EditError::from)?;
    }
    Ok(told)
}

/// Changes a text of the file's form: as [`edit`], without a file. Gives no text where nothing is to be changed.
///
/// # Errors
/// When `decide` says no, or the text is not of that form.
pub fn edited<T, E: From<EditError>>(
    text: &str,
    rules: &Rules<'_>,
    decide: impl FnOnce(&[Acknowledgement]) -> Result<(Vec<Edit>, T), E>,
) -> Result<(Option<String>, T), E> {
    let before = parse(text, rules).map_err(EditError::from)?;
    let (edits, told) = decide(&before)?;
    if edits.is_empty() {
        return Ok((None, told));
    }
    let new = rewritten(text, &before, &edits)?;
    if parse(&new, rules).map_err(|_| EditError::OtherForm)? != after(before, &edits) {
        return Err(EditError::OtherForm.into());
    }
    Ok((Some(new), told))
}

fn hold(dir: &Path) -> Result<std::fs::File, EditError> {
    hold_alone(dir, PATIENCE).map_err(|errno| match errno {
        Errno::WOULDBLOCK => EditError::Busy,
        errno => EditError::Refused(errno.into()),
    })
}

/// The indices of the entries that go, the last one first.
fn removed(edits: &[Edit]) -> Vec<usize> {
    let one = |edit: &Edit| if let Edit::Remove(at) = edit { Some(*at) } else { None };
    let mut all: Vec<usize> = edits.iter().filter_map(one).collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    all
}

/// What the file must hold after `edits`.
fn after(mut all: Vec<Acknowledgement>, edits: &[Edit]) -> Vec<Acknowledgement> {
    for edit in edits {
        if let Edit::Put(at, new) = edit {
            all[*at] = new.clone();
        }
    }
    for at in removed(edits) {
        all.remove(at);
    }
    all.extend(
        edits.iter().filter_map(|edit| if let Edit::Add(new) = edit { Some(new.clone()) } else { None }),
    );
    all
}

/// The text after `edits`. New entries are added as text, so that nothing before them moves.
fn rewritten(text: &str, before: &[Acknowledgement], edits: &[Edit]) -> Result<String, EditError> {
    // toml_edit writes no carriage return.
    let ends_in_crlf = text.contains("\r\n");
    let mut new = text.replace("\r\n", "\n");
    if edits.iter().any(|edit| !matches!(edit, Edit::Add(_))) {
        let mut document: DocumentMut = new.parse().map_err(|_| EditError::OtherForm)?;
        change(&mut document, before, edits).ok_or(EditError::OtherForm)?;
        new = document.to_string();
    }
    for edit in edits {
        if let Edit::Add(entry) = edit {
            if new.is_empty() {
                HEAD.clone_into(&mut new);
            } else if !new.ends_with('\n') {
                new.push('\n');
            }
            new.push('\n');
            new += &printed(entry);
        }
    }
    Ok(if ends_in_crlf { new.replace('\n', "\r\n") } else { new })
}

/// Changes and removes entries; `None` where they are not written as tables.
fn change(document: &mut DocumentMut, before: &[Acknowledgement], edits: &[Edit]) -> Option<()> {
    let tables = document.get_mut(KEY)?.as_array_of_tables_mut()?;
    for edit in edits {
        if let Edit::Put(at, new) = edit {
            let (was, now) = (fields(&before[*at]), fields(new));
            for (key, text) in now.iter().filter(|field| !was.contains(field)) {
                set(tables.get_mut(*at)?, key, text)?;
            }
        }
    }
    let gone = removed(edits);
    let kept = remove(tables, &gone);
    let trailing = kept + document.trailing().as_str().unwrap_or_default();
    let is_blank = trailing.trim().is_empty();
    document.set_trailing(match gone.is_empty() {
        true => trailing,
        false if is_blank => String::new(),
        false => format!("{}\n", trailing.trim_end()),
    });
    Some(())
}

/// Removes the tables at these indices, the last one first. What is kept of the comments before one goes to the next
/// table; given is what no table follows.
fn remove(tables: &mut ArrayOfTables, indices: &[usize]) -> String {
    let mut last = String::new();
    for at in indices {
        let Some(kept) = tables.get(*at).map(detached) else { continue };
        tables.remove(*at);
        if let Some(next) = tables.get_mut(*at).map(Table::decor_mut) {
            let its = next.prefix().and_then(|text| text.as_str()).unwrap_or_default();
            let is_first = *at == 0;
            let both = if kept.is_empty() && !is_first { its.to_owned() } else { kept + without_blank(its) };
            next.set_prefix(both);
        } else {
            last = kept + &last;
        }
    }
    last
}

/// Sets a value, with the comment behind it as it was.
fn set(table: &mut Table, key: &str, text: &str) -> Option<()> {
    let value = table.get_mut(key)?.as_value_mut()?;
    let decor = value.decor().clone();
    *value = Value::from(text);
    *value.decor_mut() = decor;
    Some(())
}

/// The comments before an entry that an empty line, or one of blanks, separates from it: they are not about it.
fn detached(table: &Table) -> String {
    let before = table.decor().prefix().and_then(|text| text.as_str()).unwrap_or_default();
    let lines: Vec<&str> = before.split_inclusive('\n').collect();
    let is_blank = |line: &&str| line.ends_with('\n') && line.trim().is_empty();
    let kept = lines.iter().rposition(is_blank).map(|last| lines[..last].concat());
    let kept = kept.filter(|kept| kept.contains('#'));
    kept.map(|kept| format!("{}\n\n", kept.trim_end())).unwrap_or_default()
}

/// A text without the blank lines that it begins with.
fn without_blank(text: &str) -> &str {
    let blank = text.split_inclusive('\n').take_while(|line| line.ends_with('\n') && line.trim().is_empty());
    &text[blank.map(str::len).sum()..]
}

/// The keys of an entry that may change, and what they say.
fn fields(entry: &Acknowledgement) -> [(&'static str, String); 6] {
    [
        ("kind", entry.kind.word().to_owned()),
        ("fingerprint", entry.fingerprint.to_string()),
        ("reason", entry.reason.clone()),
        ("by", entry.by.clone()),
        ("since", entry.since.text.clone()),
        ("until", entry.until.text.clone()),
    ]
}

fn printed(entry: &Acknowledgement) -> String {
    let mut table = Table::new();
    let mut put = |key: &str, text: String| drop(table.insert(key, toml_edit::value(text)));
    let (subject, is_lossy) = readable(&entry.subject);
    put("check", entry.check.clone());
    put("subject", subject.into_owned());
    if is_lossy {
        put("subject_bytes", BASE64.encode(&entry.subject));
    }
    if let Some(target) = &entry.target {
        put("target", target.clone());
    }
    for (key, text) in fields(entry) {
        put(key, text);
    }
    let mut tables = ArrayOfTables::new();
    tables.push(table);
    let mut document = DocumentMut::new();
    document.insert(KEY, Item::ArrayOfTables(tables));
    document.to_string()
}
