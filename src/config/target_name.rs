//! The names of targets.

/// Whether a target may have this name: it becomes part of file names.
#[must_use]
pub fn is_target_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        && !matches!(name, "local" | "baseline")
}
