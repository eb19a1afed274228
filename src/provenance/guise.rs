//! The forms in which the content of a blob may lie on a disk, and in which way two of them differ.

use std::collections::{BTreeSet, HashMap};

use crate::git::{Attributes, Ends, Form};
use crate::model::{Digest, OtherForm};

/// A form in which the content of a blob lies on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Guise {
    /// A file with its bytes in this form.
    Bytes(Form),
    /// A symbolic link.
    Link,
    /// A file that holds the target of a symbolic link.
    LinkText,
    /// A file as a checkout writes it with these line ends.
    CheckedOut(Ends),
    /// A file of an archive, in this form.
    Archived(Form),
    /// The content that a pointer names.
    Fetched,
    /// What a filter made, which nobody here can tell.
    Filtered,
}

/// How a file's lines end, beside what is stored.
#[derive(PartialEq, Eq)]
enum LineEnds {
    AsStored,
    Both,
    LineFeed,
}

impl Guise {
    /// As it is stored.
    pub(super) const STORED: Self = Self::Bytes(Form::Stored);

    fn ends(self) -> LineEnds {
        match self {
            Self::Bytes(form) | Self::Archived(form) => match form {
                Form::Stored => LineEnds::AsStored,
                Form::CarriageReturns | Form::EveryCarriageReturn => LineEnds::Both,
                Form::LineFeeds => LineEnds::LineFeed,
            },
            Self::CheckedOut(Ends::Both) => LineEnds::Both,
            _ => LineEnds::AsStored,
        }
    }

    fn is_checked_out(self) -> bool {
        matches!(self, Self::CheckedOut(_) | Self::Archived(_))
    }
}

/// A blob, and the path by whose attributes it is written.
pub(super) type BlobAt = (String, Vec<u8>);

/// What a link leads to in a commit.
#[derive(Debug, Clone)]
pub(super) struct Through {
    /// The commit.
    pub(super) commit: String,
    /// The digest of the link's target.
    pub(super) text: Digest,
    /// The path of the file behind it.
    pub(super) path: Vec<u8>,
    /// Its blob.
    pub(super) blob: String,
}

/// Digests of blobs at paths, in forms that depend on the path.
#[derive(Debug, Default)]
pub(super) struct Guises {
    known: HashMap<BlobAt, Vec<(Guise, Digest)>>,
}

impl Guises {
    /// Notes a digest.
    pub(super) fn add(&mut self, blob: &str, path: &[u8], guise: Guise, digest: Digest) {
        self.known.entry((blob.to_owned(), path.to_vec())).or_default().push((guise, digest));
    }

    /// What is known of a blob at a path.
    pub(super) fn of(&self, blob: &str, path: &[u8]) -> &[(Guise, Digest)] {
        self.known.get(&(blob.to_owned(), path.to_vec())).map_or(&[], Vec::as_slice)
    }
}

/// How `actual` differs from `expected`, forms of the same content: by as little as any two of them do.
pub(super) fn difference(
    expected: &[Guise],
    actual: &[Guise],
    attributes: Attributes,
) -> BTreeSet<OtherForm> {
    let pairs = expected.iter().flat_map(|one| actual.iter().map(|other| (*one, *other)));
    pairs.map(|(one, other)| between(one, other, attributes)).min_by_key(BTreeSet::len).unwrap_or_default()
}

fn between(expected: Guise, actual: Guise, attributes: Attributes) -> BTreeSet<OtherForm> {
    use Guise::{Archived, Fetched, Filtered, LinkText};
    let one = |form| BTreeSet::from([form]);
    let is_made = |guise: Guise| matches!(guise, Fetched | Filtered);
    match (expected, actual) {
        (_, LinkText) => return one(OtherForm::LinksAsFiles),
        (LinkText, _) => return one(OtherForm::Links),
        (made, other) if is_made(made) && !is_made(other) => return one(OtherForm::Pointer),
        (other, made) if is_made(made) && !is_made(other) => return one(OtherForm::Filtered),
        _ => {}
    }
    let mut forms = BTreeSet::new();
    match (expected, actual) {
        (_, Archived(_)) => drop(forms.insert(OtherForm::Archive)),
        (Archived(_), _) => drop(forms.insert(OtherForm::Checkout)),
        _ if expected.is_checked_out() != actual.is_checked_out() => {
            forms.extend(attributes.has_keyword.then_some(OtherForm::Keyword));
            forms.extend(attributes.has_encoding.then_some(OtherForm::Encoding));
        }
        _ => {}
    }
    if forms.is_empty() || expected.ends() != actual.ends() {
        forms.insert(OtherForm::LineEndings);
    }
    forms
}
