//! Where the content that a host holds comes from, as the history of the repository tells it.

use serde::{Deserialize, Serialize};

use super::{Release, Stat};

/// One commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "WireCommit"))]
pub struct Commit {
    /// Its full id.
    pub id: String,
    /// Who wrote it.
    pub author: String,
    /// When, in RFC 3339 with offset.
    pub date: String,
    /// The first line of its message.
    pub subject: String,
}

/// What the history says of the content that a host holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is of the baseline's own commit, written in another form.
    Own,
    /// It is of a commit before the baseline's.
    Stale,
    /// It is of a commit after the baseline's.
    Ahead,
    /// It is of a commit that is neither before nor after the baseline's.
    Diverged,
    /// No commit of this path ever held it.
    Edited,
    /// It is of a commit that no branch or tag leads to: it was put aside or dropped.
    Unreleased,
    /// What is checked out holds it at another path.
    Copied,
    /// No commit of this path ever held it, and git does not track the path: it cannot know of a change.
    Untracked,
    /// The files of a module are of commits, but not all of one.
    Mixed,
    /// Nothing is there: the host is older than the commit that added it, or it was removed by hand.
    Absent,
    /// It was not found, and not everything could be searched.
    Unknown,
}

impl Origin {
    /// Every judgement, in the order of the type.
    pub const ALL: [Self; 11] = [
        Self::Own,
        Self::Stale,
        Self::Ahead,
        Self::Diverged,
        Self::Edited,
        Self::Unreleased,
        Self::Copied,
        Self::Untracked,
        Self::Mixed,
        Self::Absent,
        Self::Unknown,
    ];

    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Own => "own commit",
            Self::Stale => "stale",
            Self::Ahead => "ahead",
            Self::Diverged => "diverged",
            Self::Edited => "edited by hand",
            Self::Unreleased => "unreleased",
            Self::Copied => "copied",
            Self::Untracked => "untracked",
            Self::Mixed => "mixed",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the commit that is named has the content at this very path, and stays.
    #[must_use]
    pub fn is_released(self) -> bool {
        !matches!(self, Self::Unreleased | Self::Copied)
    }
}

/// A form in which the same content of a commit may be written, other than the one that the baseline has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OtherForm {
    /// Lines end otherwise.
    LineEndings,
    /// Another encoding of text.
    Encoding,
    /// `$Id$` is filled in, or is not.
    Keyword,
    /// As it is stored, without what a filter makes of it: a pointer.
    Pointer,
    /// What a filter made, where the baseline has the pointer.
    Filtered,
    /// An archive, in which git filled in what the commit is, or left files out.
    Archive,
    /// A checkout, where the baseline is of an archive.
    Checkout,
    /// Files that hold the targets of symbolic links.
    LinksAsFiles,
    /// Symbolic links, where the baseline has files that hold their targets.
    Links,
}

impl OtherForm {
    /// Every form, in the order of the type.
    pub const ALL: [Self; 9] = [
        Self::LineEndings,
        Self::Encoding,
        Self::Keyword,
        Self::Pointer,
        Self::Filtered,
        Self::Archive,
        Self::Checkout,
        Self::LinksAsFiles,
        Self::Links,
    ];

    /// The words in reports.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::LineEndings => "with other line endings",
            Self::Encoding => "in another encoding",
            Self::Keyword => "with $Id$ expanded otherwise",
            Self::Pointer => "its pointer in place of the content",
            Self::Filtered => "its content in place of the pointer",
            Self::Archive => "as an archive",
            Self::Checkout => "as a checkout, where the baseline is of an archive",
            Self::LinksAsFiles => "links as files",
            Self::Links => "links, where the baseline has files in their place",
        }
    }
}

/// Where the content of one subject comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The judgement.
    pub origin: Origin,
    /// The newest commit with what the host holds.
    pub commit: Option<Commit>,
    /// The path from the project's root at which that commit has it, where it is another one.
    pub held_as: Option<Vec<u8>>,
    /// The newest commit with what the baseline has.
    pub baseline: Option<Commit>,
    /// How many commits of the subject lie between both.
    pub distance: usize,
    /// The newest of these, newest first; never more than [`Provenance::LISTED`].
    pub between: Vec<Commit>,
    /// What is known of each file of a module that differs, sorted by path.
    pub files: Vec<FileOrigin>,
    /// Whose a file is that was edited by hand or that git does not track, and when it was written, where the host tells it.
    pub edited: Option<Stat>,
    /// What was not searched, and why, or why the history does not tell; none where the whole history was searched.
    pub unsearched: Option<String>,
    /// The release that holds it, where tags tell that.
    pub release: Option<Release>,
    /// The forms in which the content is written, other than the baseline's.
    pub forms: Vec<OtherForm>,
    /// The commits that seem to hold what the baseline has of the differing files, the best source of them first.
    pub holders: Vec<Holder>,
}

/// A commit that holds files of a subject, and the subject's name there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// The commit's full id.
    pub commit: String,
    /// The subject's path from the uppermost directory.
    pub path: Vec<u8>,
}

impl Provenance {
    /// How many commits are named at most.
    pub const LISTED: usize = 20;

    /// A judgement of which nothing else is known.
    #[must_use]
    pub fn of(origin: Origin) -> Self {
        Self {
            origin,
            commit: None,
            held_as: None,
            baseline: None,
            distance: 0,
            between: Vec::new(),
            files: Vec::new(),
            edited: None,
            unsearched: None,
            release: None,
            forms: Vec::new(),
            holders: Vec::new(),
        }
    }

    /// Nothing is known, with the reason.
    #[must_use]
    pub fn unknown(why: impl Into<String>) -> Self {
        Self { unsearched: Some(why.into()), ..Self::of(Origin::Unknown) }
    }
}

/// Where one file of a module comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOrigin {
    /// The path relative to the module.
    pub path: Vec<u8>,
    /// The judgement.
    pub origin: Origin,
    /// The newest commit with what the host holds at the path.
    pub commit: Option<Commit>,
    /// The path from the project's root at which that commit has it, where it is another one.
    pub held_as: Option<Vec<u8>>,
}

/// The versions in a module's manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "WireVersions"))]
pub struct Versions {
    /// As the baseline has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// As the host has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
}

/// The first digits of a commit's id.
#[must_use]
pub fn short_id(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
