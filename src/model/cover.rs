//! Patterns that match exactly a group of names.

use std::collections::BTreeMap;

use super::Glob;

/// How many patterns a command holds at most.
const MOST: usize = 12;

/// The patterns that match each of `members` and none of `others`, as few as can be told from their beginnings and ends; `None`
/// where that takes more than a command should hold, or a name is not plain text.
#[must_use]
pub fn cover(members: &[&[u8]], others: &[&[u8]]) -> Option<Vec<String>> {
    let texts = |names: &[&[u8]]| -> Option<Vec<String>> {
        names.iter().map(|name| Some(std::str::from_utf8(name).ok()?.to_owned())).collect()
    };
    let wanted = texts(members)?;
    if wanted.is_empty() || wanted.iter().any(|name| !is_plain(name)) {
        return None;
    }
    let others_as_text: Vec<&str> = others.iter().filter_map(|name| std::str::from_utf8(name).ok()).collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let patterns = patterns_of(&wanted, &others_as_text);
    // What was made is judged by what will read it.
    let globs: Vec<Glob> = patterns.iter().map(|text| Glob::new(text)).collect::<Result<_, _>>().ok()?;
    let matches = |name: &[u8]| globs.iter().any(|glob| glob.matches(name));
    let is_exact = members.iter().all(|name| matches(name)) && !others.iter().any(|name| matches(name));
    (patterns.len() <= MOST && is_exact).then_some(patterns)
}

/// Whether every program reads a name in a pattern as it is, and it is shown as it is.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains(['\\', '\'', '\n']) && super::escaped(name.as_bytes()) == name
}

/// The patterns of names that have something in common with `others`, all without what stands before them.
fn patterns_of(names: &[&str], others: &[&str]) -> Vec<String> {
    if let [one] = names {
        return vec![Glob::literal(one)];
    }
    let start = common(names.iter().map(|name| name.chars()));
    let start_len: usize = names[0].chars().take(start).map(char::len_utf8).sum();
    let (head, rests): (&str, Vec<&str>) =
        (&names[0][..start_len], names.iter().map(|name| &name[start_len..]).collect());
    let rivals: Vec<&str> = others.iter().filter_map(|other| other.strip_prefix(head)).collect();
    let end = common(rests.iter().map(|rest| rest.chars().rev()));
    let tail_len: usize = rests[0].chars().rev().take(end).map(char::len_utf8).sum();
    let tail = &rests[0][rests[0].len() - tail_len..];
    let is_caught = |name: &str| {
        name.len() >= tail.len() && name.ends_with(tail) && !name[..name.len() - tail.len()].contains('/')
    };
    if rests.iter().all(|rest| is_caught(rest)) && !rivals.iter().any(|rival| is_caught(rival)) {
        return vec![format!("{}*{}", Glob::literal(head), Glob::literal(tail))];
    }
    let mut by_next: BTreeMap<Option<char>, Vec<&str>> = BTreeMap::new();
    for rest in rests {
        let mut chars = rest.chars();
        let next = chars.next();
        by_next.entry(next).or_default().push(chars.as_str());
    }
    // Those that go on in the same way share a class of letters.
    let mut by_tails: BTreeMap<Vec<String>, Vec<Option<char>>> = BTreeMap::new();
    for (next, rests) in by_next {
        let Some(letter) = next else {
            by_tails.entry(vec![String::new()]).or_default().push(None);
            continue;
        };
        let rivals: Vec<&str> = rivals.iter().filter_map(|rival| rival.strip_prefix(letter)).collect();
        let tails = patterns_of(&rests, &rivals);
        let key = if letter.is_ascii_alphanumeric() {
            tails
        } else {
            tails.into_iter().map(|tail| format!("{}{tail}", Glob::literal(&letter.to_string()))).collect()
        };
        by_tails.entry(key).or_default().push(next.filter(char::is_ascii_alphanumeric));
    }
    let each = by_tails.into_iter().flat_map(|(tails, letters)| {
        let class = class_of(&letters.into_iter().flatten().collect::<Vec<_>>());
        tails.into_iter().map(move |tail| format!("{}{class}{tail}", Glob::literal(head)))
    });
    each.collect()
}

/// How many letters all have in common, from where they begin.
fn common<I: Iterator<Item = char>>(names: impl Iterator<Item = I>) -> usize {
    let mut names: Vec<I> = names.collect();
    let mut count = 0;
    loop {
        let mut next = names.iter_mut().map(Iterator::next);
        match next.next().flatten() {
            Some(first) if next.all(|letter| letter == Some(first)) => count += 1,
            _ => return count,
        }
    }
}

/// A class of letters and digits; runs of more than two as a range.
fn class_of(letters: &[char]) -> String {
    match letters {
        [] => return String::new(),
        [one] => return one.to_string(),
        _ => {}
    }
    let mut class = String::from("[");
    let mut at = 0;
    while at < letters.len() {
        let follows = |from: usize| {
            from + 1 < letters.len() && u32::from(letters[from]) + 1 == u32::from(letters[from + 1])
        };
        let end = (at..letters.len()).find(|from| !follows(*from)).unwrap_or(at);
        if end > at + 1 {
            class.extend([letters[at], '-', letters[end]]);
        } else {
            class.extend(&letters[at..=end]);
        }
        at = end + 1;
    }
    class + "]"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cover_of(members: &[&str], others: &[&str]) -> Option<Vec<String>> {
        let bytes = |names: &[&'static str]| names.iter().map(|name| name.as_bytes()).collect::<Vec<_>>();
        let leak = |names: &[&str]| -> Vec<&'static str> {
            names.iter().map(|name| &*Box::leak((*name).to_owned().into_boxed_str())).collect()
        };
        cover(&bytes(&leak(members)), &bytes(&leak(others)))
    }

    #[test]
    fn a_group_is_told_by_its_beginning_and_its_end() {
        let some = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(cover_of(&["shop_a", "shop_b"], &["ocr"]), some(&["shop_*"]));
        assert_eq!(cover_of(&["shop_1", "shop_2", "shop_3"], &["shop_4"]), some(&["shop_[1-3]"]));
        assert_eq!(cover_of(&["a/x.yml", "b/x.yml"], &["a/y.yml"]), some(&["*/x.yml"]));
        assert_eq!(cover_of(&["one"], &[]), some(&["one"]));
        assert_eq!(cover_of(&["a*", "ab"], &["ac"]), some(&["ab", "a[*]"]));
        assert_eq!(cover_of(&["a\\b", "ab"], &[]), None);
    }

    #[test]
    fn a_range_ends_where_a_stranger_stands() {
        let name = |n: u32| format!("shop_feature_{n:03}");
        let (members, others): (Vec<String>, Vec<String>) =
            ((1..=298).map(name).collect(), (299..=330).map(name).collect());
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let found = cover_of(&members, &others).unwrap();
        assert!(found.len() <= 4, "{found:?}");
    }
}
