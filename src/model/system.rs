//! Errors of the system, for people.

/// What the system said, without its number, as a part of a sentence: `permission denied`.
#[must_use]
pub fn in_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |c| c.to_lowercase().collect::<String>() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_left_out() {
        assert_eq!(in_words(&std::io::Error::from_raw_os_error(13)), "permission denied");
        assert_eq!(in_words(&std::io::Error::other("it is not a file")), "it is not a file");
    }
}
