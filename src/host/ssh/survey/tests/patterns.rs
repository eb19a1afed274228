//! What the shell takes a pattern for, beside what it is.

use proptest::prelude::*;

use super::*;
use crate::host::ssh::survey::pattern::{at_least, at_most, filter, parts_of, quoted};

fn part() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "*", "?", "[ab]", "[!a]", "[]]", "[é-ü]", "a", "b", "é", ".", "'", "\\", "$x", "!", "^", "]", " ",
    ]);
    prop_oneof![
        4 => prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat()),
        1 => Just("**".to_owned()),
    ]
}

fn pattern() -> impl Strategy<Value = Glob> {
    prop::collection::vec(part(), 1..4).prop_filter_map("no pattern", |parts| {
        Glob::new(&parts.join("/")).ok().filter(|glob| !glob.text().is_empty())
    })
}

fn subject() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "a", "b", "é", ".", "'", "\\", "$x", "!", "^", "]", " ", "\n", "*", "?", "ab",
    ]);
    let name = prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat());
    let name = prop_oneof![8 => name.prop_map(String::into_bytes), 1 => Just(b"\xff\x81".to_vec())];
    let usable = name.prop_filter("no name", |name| !matches!(&name[..], b"." | b".."));
    prop::collection::vec(usable, 1..4).prop_map(|names| names.join(&b'/'))
}

/// For each pair whether the shell is sure, takes it for possible, and takes its last component for possible.
fn judged(by: &[&str], pairs: &[(Glob, Vec<u8>)]) -> Vec<(bool, bool, bool)> {
    let mut script = b"LC_ALL=C\n".to_vec();
    for (glob, path) in pairs {
        let parts = parts_of(glob);
        let mut case = |word: &[u8], patterns: &[u8], yes: &[u8]| {
            script.extend(
                [b"case ", word, b" in ", patterns, b") printf ", yes, b" ;; *) printf 0 ;; esac\n"].concat(),
            );
        };
        let word = quoted(&[b"/base/", &path[..]].concat());
        match at_most(b"/base", &parts) {
            None => case(b"x", b"y", b"1"),
            Some(made) if made.doubtful.is_empty() => case(&word, &made.sure.join(&b'|'), b"1"),
            Some(made) => {
                let patterns =
                    [&made.doubtful.join(&b'|')[..], b") printf 0 ;; ", &made.sure.join(&b'|')].concat();
                case(&word, &patterns, b"1");
            }
        }
        case(&word, &at_least(b"/base", &parts), b"1");
        let part = parts.last().unwrap();
        let name = path.rsplit(|&b| b == b'/').next().unwrap();
        script.extend([b"pattern=", &quoted(&filter(part).into_bytes()[1..])[..], b"\n"].concat());
        script.extend(
            [b"case ", &quoted(name)[..], b" in $pattern) printf 1 ;; *) printf 0 ;; esac\n"].concat(),
        );
    }
    let output = run(by, &script, &Programs::Usual);
    assert_eq!(output.len(), 3 * pairs.len());
    output.chunks(3).map(|three| (three[0] == b'1', three[1] == b'1', three[2] == b'1')).collect()
}

proptest! {
    #![proptest_config(crate::random::cases(100))]

    #[test]
    fn the_shell_takes_patterns_for_no_less_or_no_more(
        pairs in prop::collection::vec((pattern(), subject()), 60),
        by in prop::sample::select(SHELLS.to_vec()),
    ) {
        for ((glob, path), (sure, possible, name_possible)) in pairs.iter().zip(judged(by, &pairs)) {
            let text = glob.text();
            let is_meant = glob.matches(path) || glob.covers(path);
            prop_assert!(!sure || is_meant, "{text} is taken for {}", shown(path));
            prop_assert!(possible || !glob.matches(path), "{text} is not taken for {}", shown(path));
            let last = parts_of(glob).pop().unwrap();
            let name = path.rsplit(|&b| b == b'/').next().unwrap();
            let name_matches = last != "**" && Glob::new(last).unwrap().matches(name);
            prop_assert!(name_possible || !name_matches, "{last} is not taken for {}", shown(name));
        }
    }
}
