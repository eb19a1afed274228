//! Percent signs, variables and quotes in what `ssh_config` says: `ssh_config(5)`, TOKENS and ENVIRONMENT VARIABLES.

use std::collections::BTreeMap;

use crate::control::Environment;
use crate::model::escaped;

/// The reason why a text of `ssh_config` has no meaning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// A percent sign with a letter that stands for nothing here.
    #[error("%{} stands for nothing that driftlock works out", escaped(.0.to_string().as_bytes()))]
    Unknown(char),
    /// A percent sign at the end.
    #[error("a percent sign stands at its end")]
    Cut,
    /// A variable that is not set.
    #[error("the variable {} is not set", escaped(.0.as_bytes()))]
    Variable(String),
    /// A variable without its closing brace.
    #[error("a variable does not end: ${{NAME}}")]
    OpenVariable,
    /// A quotation mark without the one that closes it.
    #[error("a quotation mark is not closed")]
    OpenQuote,
    /// The program of a command, which is named by no whole path.
    #[error("its program is not named by its whole path")]
    NoWholePath,
}

/// A text with what its percent signs stand for.
///
/// # Errors
/// When one stands for nothing.
pub(super) fn expanded(text: &str, tokens: &BTreeMap<char, String>) -> Result<String, TokenError> {
    let mut out = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('%') => out.push('%'),
            Some(letter) => out += tokens.get(&letter).ok_or(TokenError::Unknown(letter))?,
            None => return Err(TokenError::Cut),
        }
    }
    Ok(out)
}

/// A text with the values of its variables, `${NAME}`.
///
/// # Errors
/// When one is not set.
pub(super) fn with_variables(text: &str, environment: &Environment) -> Result<String, TokenError> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        let (name, after) = behind.split_once('}').ok_or(TokenError::OpenVariable)?;
        let value = environment.text(name).ok_or_else(|| TokenError::Variable(name.to_owned()))?;
        out += before;
        out += value;
        rest = after;
    }
    Ok(out + rest)
}

/// The words of a command line: between blanks, in quotes of both kinds, and behind backslashes.
///
/// # Errors
/// When a quotation mark is not closed.
pub(super) fn words(line: &str) -> Result<Vec<String>, TokenError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let may_follow = |next: &char| matches!(next, '"' | '\'' | '\\') || (quote.is_none() && *next == ' ');
        match letter {
            '\\' if letters.peek().is_some_and(may_follow) => {
                word.get_or_insert_default().extend(letters.next());
            }
            ' ' | '\t' if quote.is_none() => words.extend(word.take()),
            '"' | '\'' if quote.is_none() => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            _ if quote == Some(letter) => quote = None,
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(TokenError::OpenQuote);
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_as_ssh_does() {
        let read = |line: &str| words(line).map(|words| words.join("|"));
        assert_eq!(
            read("/bin/x  a\t'b c' \"d 'e\" f\\ g \\\"h '' i\\j").unwrap(),
            "/bin/x|a|b c|d 'e|f g|\"h||i\\j"
        );
        assert_eq!(read("/bin/x 'a"), Err(TokenError::OpenQuote));
        assert_eq!(read("  ").unwrap(), "");
    }

    #[test]
    fn what_stands_for_nothing_is_an_error() {
        let tokens = BTreeMap::from([('h', "erp".to_owned())]);
        assert_eq!(expanded("/k/%h-%%", &tokens).unwrap(), "/k/erp-%");
        assert_eq!(expanded("%q", &tokens), Err(TokenError::Unknown('q')));
        assert_eq!(expanded("x%", &tokens), Err(TokenError::Cut));
        let environment = Environment::of_process();
        let home = environment.text("HOME").unwrap();
        assert_eq!(with_variables("${HOME}/k $x", &environment).unwrap(), format!("{home}/k $x"));
        let unset = "DRIFTLOCK_NOT_SET".to_owned();
        assert_eq!(with_variables("${DRIFTLOCK_NOT_SET}", &environment), Err(TokenError::Variable(unset)));
        assert_eq!(with_variables("${HOME", &environment), Err(TokenError::OpenVariable));
    }
}
