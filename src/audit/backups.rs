//! The earlier version of the system's lists of accounts and groups: a lock file has their digests alone, and the programs
//! that write them leave the version before.

use crate::host::{Content, Host, Watch};
use crate::model::Digest;

/// Lists of the system, and where their earlier versions lie: what `useradd` and the like leave (`passwd(5)`), and what
/// Debian's daily job puts aside.
const BACKUPS: [(&[u8], [&[u8]; 2]); 2] = [
    (b"/etc/passwd", [b"/etc/passwd-", b"/var/backups/passwd.bak"]),
    (b"/etc/group", [b"/etc/group-", b"/var/backups/group.bak"]),
];

/// Whether earlier versions of a file are left on its machine.
pub(super) fn has(path: &[u8]) -> bool {
    BACKUPS.iter().any(|(list, _)| *list == path)
}

/// The earlier version of a file that has this digest; none where no copy of it can be read.
pub(super) fn earlier(
    host: &dyn Host,
    path: &[u8],
    digest: Digest,
    limit: u64,
    watch: &Watch,
) -> Option<Vec<u8>> {
    let (_, copies) = BACKUPS.iter().find(|(list, _)| *list == path)?;
    let wanted: Vec<(Vec<u8>, u64)> = copies.iter().map(|copy| (copy.to_vec(), limit)).collect();
    host.contents(&wanted, watch).ok()?.into_iter().find_map(|content| match content {
        Content::Bytes(bytes) if Digest::of(&bytes) == digest => Some(bytes),
        _ => None,
    })
}
