//! What a baseline's signature is over: a list of the files that make the baseline, which `sha256sum` can make, too.

use std::collections::BTreeMap;

use crate::model::{Digest, Leaf, write_line};

/// The files that a signature covers: their paths from the root, and their digests.
pub type Listed = BTreeMap<String, Digest>;

/// The list that is signed: a line of `sha256sum` for each file, sorted by the path's bytes.
#[must_use]
pub fn list(files: &Listed) -> Vec<u8> {
    let mut text = Vec::new();
    for (path, digest) in files {
        write_line(&mut text, Leaf::File(*digest), path.as_bytes());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_sha256sum_prints() {
        let files = ["audit/locks/p/b", "audit/driftlock.toml", "audit/locks/a"];
        let files: Listed = files.map(|path| (path.to_owned(), Digest::of(b""))).into();
        let empty = Digest::of(b"");
        let text =
            format!("{empty}  audit/driftlock.toml\n{empty}  audit/locks/a\n{empty}  audit/locks/p/b\n");
        assert_eq!(list(&files), text.as_bytes());
    }
}
