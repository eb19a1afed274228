//! What the user is asked on the way to a server, where somebody is there to answer.

use super::Secret;

/// Asks the user. Nothing below the command line knows a terminal, so it is handed down.
pub trait Prompt: Send + Sync {
    /// The passphrase of a key file; `None` where nobody can be asked, or nothing was given.
    fn passphrase(&self, key: &str) -> Option<Secret>;

    /// Whether a host key that nobody knows is to be believed; `text` says all that is known of it, and typing
    /// its fingerprint is as good as a yes.
    fn believes(&self, text: &str, fingerprint: &str) -> bool;

    /// Tells something that is no error.
    fn note(&self, text: &str);
}

/// A user who is asked nothing.
pub(super) struct Unasked;

impl Prompt for Unasked {
    fn passphrase(&self, _: &str) -> Option<Secret> {
        None
    }

    fn believes(&self, _: &str, _: &str) -> bool {
        false
    }

    fn note(&self, _: &str) {}
}
