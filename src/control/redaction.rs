//! Passwords of addresses in the arguments of the process: they are hidden wherever they come up again.

use std::sync::OnceLock;

use crate::model::{Address, is_address};

/// The addresses among the arguments, as they were given.
static GIVEN: OnceLock<Vec<Address>> = OnceLock::new();

/// Notes the arguments of the process; only the first call counts.
pub fn note_arguments(arguments: impl Iterator<Item = String>) {
    let given = arguments.flat_map(|argument| {
        let value = argument.split_once('=').map(|(_, value)| value.to_owned());
        [argument].into_iter().chain(value)
    });
    let given = given.filter(|given| is_address(given)).map(Address::new).collect();
    let _ = GIVEN.set(given);
}

/// A text without the passwords of addresses: of those that were noted, whatever they look like, and of all that look like one.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let given = GIVEN.get().into_iter().flatten();
    let hidden = given.fold(text.to_owned(), |text, given| given.hidden_in(&text));
    crate::model::without_secrets(&hidden)
}
