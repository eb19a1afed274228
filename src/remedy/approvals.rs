//! Approvals of repairs, and the commits that were repaired to: what is remembered between repairs, below `audit/state`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::control::clock;
use crate::model::Digest;
use crate::store::state;

/// The file of approvals.
const APPROVALS: &str = "approvals";
/// The file of the commits that were repaired to, by target.
const REPAIRED: &str = "repaired";
/// The longest that an approval holds, in seconds.
pub(crate) const LONGEST: i64 = 30 * 24 * 60 * 60;

/// One approval: of these steps for these findings, and of nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approval {
    /// The digest of the plan.
    pub(crate) plan: String,
    /// The findings of it.
    pub(crate) subjects: Vec<String>,
    /// Their fingerprints; approvals of earlier releases have none.
    #[serde(default)]
    pub(crate) fingerprints: Vec<String>,
    /// When it was given, in seconds since 1970.
    #[serde(default)]
    pub(crate) since: i64,
    /// Who approved it.
    pub(crate) by: String,
    /// Until when, in seconds since 1970.
    pub(crate) until: i64,
    /// Why.
    pub(crate) reason: String,
}

/// The file of the approvals of a place.
pub(crate) fn path(root: &Path, target: Option<&str>) -> PathBuf {
    state::file(root, APPROVALS, target)
}

/// All approvals that hold now.
///
/// # Errors
/// When the file cannot be read, is none, or may have come from somebody else.
pub(crate) fn valid(root: &Path, target: Option<&str>) -> io::Result<Vec<Approval>> {
    let mut all: Vec<Approval> = state::read_own(root, &path(root, target))?.unwrap_or_default();
    let now = clock::unix();
    all.retain(|it| it.until > now);
    Ok(all)
}

/// Adds an approval; those that have expired go.
///
/// # Errors
/// When the file cannot be read or written, or may have come from somebody else.
pub(crate) fn add(root: &Path, target: Option<&str>, approval: Approval) -> io::Result<()> {
    let mut all = valid(root, target)?;
    all.retain(|it| it.plan != approval.plan || it.by != approval.by);
    all.push(approval);
    state::write_own(&path(root, target), &all)
}

/// Who approved a plan, of those that are not `other_than`.
///
/// # Errors
/// When the file cannot be read, is none, or may have come from somebody else.
pub(crate) fn of_plan(
    root: &Path,
    target: Option<&str>,
    plan: Digest,
    other_than: Option<&str>,
) -> io::Result<Option<Approval>> {
    let plan = plan.to_string();
    let is_it = |it: &Approval| it.plan == plan && other_than.is_none_or(|name| name != it.by);
    Ok(valid(root, target)?.into_iter().find(is_it))
}

/// The commit that a place was last repaired to.
///
/// # Errors
/// When the file cannot be read, is none, or, for what runs by itself, may have come from somebody else.
pub(super) fn last_commit(
    root: &Path,
    target: Option<&str>,
    is_automatic: bool,
) -> io::Result<Option<String>> {
    let path = state::file(root, REPAIRED, target);
    let read = if is_automatic { state::read_own(root, &path)? } else { state::read(&path)? };
    let all: BTreeMap<String, String> = read.unwrap_or_default();
    Ok(all.get("commit").cloned())
}

/// Remembers the commit that a place was repaired to.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn note_commit(root: &Path, target: Option<&str>, commit: &str) -> io::Result<()> {
    let all = BTreeMap::from([("commit".to_owned(), commit.to_owned())]);
    state::write_own(&state::file(root, REPAIRED, target), &all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_is_of_one_plan_and_ends() {
        let root = tempfile::tempdir().unwrap();
        let plan = Digest::of(b"plan");
        let approval = |until| Approval {
            plan: plan.to_string(),
            subjects: Vec::new(),
            fingerprints: Vec::new(),
            since: clock::unix(),
            by: "ada".to_owned(),
            until,
            reason: "tested".to_owned(),
        };
        let of = |plan, other| of_plan(root.path(), Some("prod"), plan, other).unwrap();
        assert_eq!(of(plan, None), None);
        add(root.path(), Some("prod"), approval(clock::unix() + 60)).unwrap();
        assert!(of(plan, None).is_some() && of(plan, Some("bob")).is_some());
        assert_eq!(of(plan, Some("ada")), None);
        assert_eq!(of(Digest::of(b"other"), None), None);
        assert_eq!(of_plan(root.path(), None, plan, None).unwrap(), None);
        add(root.path(), Some("prod"), approval(clock::unix() - 1)).unwrap();
        assert_eq!(of(plan, None), None);
        let path = state::file(root.path(), APPROVALS, Some("prod"));
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        assert!(of_plan(root.path(), Some("prod"), plan, None).is_err());
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        std::fs::write(&path, "{").unwrap();
        assert!(of_plan(root.path(), Some("prod"), plan, None).is_err());
    }
}
