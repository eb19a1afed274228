//! Passwords of addresses in the arguments of the process: they are hidden wherever they come up again.

use std::sync::OnceLock;

use crate::model::{Address, is_address};

/// The addresses among the arguments, as they were given.
static GIVEN: OnceLock<Vec<Address>> = OnceLock::new();

/// Notes the arguments of the process; only the first call counts.
pub fn note_arguments(arguments: impl Iterator<Item = String>) {
    let mut is_server = false;
    let given = arguments.flat_map(|argument| {
        let follows_server = std::mem::replace(&mut is_server, argument == "--server");
        let (name, value) = argument.split_once('=').unzip();
        let value = value.map(|value| (value.to_owned(), name == Some("--server")));
        [(argument.clone(), follows_server)].into_iter().chain(value).collect::<Vec<_>>()
    });
    // Where a server is named, `git:…@erp` is a user with a password and no commit.
    let given = given
        .filter(|(given, is_server)| is_address(given) || *is_server && Address::new(given).has_secret());
    let _ = GIVEN.set(given.map(|(given, _)| Address::new(given)).collect());
}

/// A text without the passwords of addresses: of those that were noted, whatever they look like, and of all that look like one.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let given = GIVEN.get().into_iter().flatten();
    let hidden = given.fold(text.to_owned(), |text, given| given.hidden_in(&text));
    crate::model::without_secrets(&hidden)
}
