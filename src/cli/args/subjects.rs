//! A subject as a person names it: exactly, or by a pattern.

use crate::audit::accept;
use crate::model::{Glob, escaped};

/// What was typed: a subject or `check/subject`, as it is or as it is printed, or a pattern over these.
pub(crate) struct Named {
    text: String,
    /// `None` where it is no pattern; then it may still be a name.
    pattern: Option<Glob>,
    /// The same with indexes such as `[0]` as they are, for addresses of resources.
    indexed: Option<Glob>,
}

/// A subject: the check that found it, and its name.
type Key<'a> = (&'a str, Vec<u8>);

impl Named {
    pub(crate) fn new(text: &str) -> Self {
        let indexed = Glob::new(&text.replace('[', "[[]")).ok();
        Self { text: text.to_owned(), pattern: Glob::new(text).ok(), indexed }
    }

    /// Why it is no pattern, if it is none.
    pub(crate) fn bad_pattern(&self) -> Option<String> {
        Glob::new(&self.text).err().map(|bad| bad.to_string())
    }

    /// What was typed, for a message.
    pub(crate) fn shown(&self) -> String {
        escaped(self.text.as_bytes())
    }

    /// Whether it names a subject.
    pub(crate) fn names(&self, check: &str, key: &[u8]) -> bool {
        let indexed = self.indexed.as_ref().filter(|_| accept::is_planned(check));
        let mut patterns = self.pattern.iter().chain(indexed);
        self.is_exactly(check, key) || patterns.any(|pattern| accept::names(pattern, check, key))
    }

    /// The indices of those that it names. A name that there is goes before the pattern that it is, too.
    pub(crate) fn among(&self, keys: &[Key<'_>]) -> Vec<usize> {
        let all = |is: &dyn Fn(&str, &[u8]) -> bool| -> Vec<usize> {
            (0..keys.len()).filter(|at| is(keys[*at].0, &keys[*at].1)).collect()
        };
        let exact = all(&|check, key| self.is_exactly(check, key));
        if exact.is_empty() { all(&|check, key| self.names(check, key)) } else { exact }
    }

    /// The same as a path, as shells complete it: without what leads to it or ends it.
    pub(crate) fn as_path(&self) -> Self {
        let text = self.text.strip_prefix("./").unwrap_or(&self.text);
        Self::new(text.strip_suffix('/').unwrap_or(text))
    }

    /// Whether it names a check, or something of it.
    pub(crate) fn is_in(&self, check: &str) -> bool {
        self.text.strip_prefix(check).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Those that were probably meant, as they may be typed: the nearest first, at most five.
    pub(crate) fn near(&self, keys: &[Key<'_>]) -> Vec<String> {
        let mut all: Vec<(bool, usize, String)> = Vec::new();
        for (check, key) in keys {
            let name = escaped(key);
            let full = format!("{check}/{name}");
            let far = |text: &str| strsim::damerau_levenshtein(&self.text, text);
            all.push((!full.contains(&self.text), far(&name).min(far(&full)), full));
        }
        all.sort();
        all.dedup();
        all.into_iter().take(5).map(|(_, _, full)| full).collect()
    }

    fn is_exactly(&self, check: &str, key: &[u8]) -> bool {
        let of_check = self.text.strip_prefix(check).and_then(|rest| rest.strip_prefix('/'));
        let texts = [Some(self.text.as_str()), of_check];
        let spellings = accept::spellings(check, key);
        texts.into_iter().flatten().any(|text| spellings.iter().any(|it| it == text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<Key<'static>> {
        vec![("a_check", b"x*".to_vec()), ("a_check", b"xy".to_vec()), ("b_check", b"list\n".to_vec())]
    }

    #[test]
    fn a_name_goes_before_a_pattern() {
        let among = |text: &str| Named::new(text).among(&keys());
        assert_eq!(among("x*"), [0]);
        assert_eq!(among("x?"), [0, 1]);
        assert_eq!(among("a_check/xy"), [1]);
        assert_eq!(among("list\\n"), [2]);
        assert_eq!(among("b_check/list\\n"), [2]);
        assert_eq!(among("["), [0; 0]);
    }

    #[test]
    fn what_was_probably_meant_comes_first() {
        assert_eq!(Named::new("lisst").near(&keys())[0], "b_check/list\\n");
        assert_eq!(Named::new("b_check/").near(&keys())[0], "b_check/list\\n");
        assert!(Named::new("a_check/z").is_in("a_check") && !Named::new("a_checks").is_in("a_check"));
    }
}
