//! Names of acknowledgements in messages.

use crate::acknowledge::Acknowledgement;
use crate::model::escaped;

/// How an entry is called in messages.
pub(crate) fn called(entry: &Acknowledgement) -> String {
    let target = entry.target.iter().map(|target| format!(" on {}", escaped(target.as_bytes())));
    std::iter::once(format!("{}/{}", entry.check, escaped(&entry.subject))).chain(target).collect()
}
