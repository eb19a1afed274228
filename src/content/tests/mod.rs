//! Whole files full of secrets, of which none may come out.

mod leaks;
mod ways;

use std::fmt::Write as _;

use proptest::prelude::*;

use super::veil::lines_of;
use super::*;

/// Files in which each `@@` stands for a secret, and how many lines they have that must stay readable.
const FILES: [(&str, &str, &[&str]); 5] = [
    (
        "compose.yml",
        include_str!("compose.yml"),
        &["    image: odoo:18", "    ports: [\"8069:8069\"]", "      POSTGRES_USER: odoo"],
    ),
    (".env", include_str!("dot.env"), &["DB_USER=odoo", "X=1"]),
    ("odoo.conf", include_str!("odoo.conf"), &["workers = 4", "limit = 1"]),
    ("settings.py", include_str!("settings.py"), &["import os", "def total(order):"]),
    ("settings.json", include_str!("settings.json"), &["  \"user\": \"odoo\",", "  \"workers\": 4"]),
];

/// What every secret of a made file begins with, and nothing else.
const STEM: &str = "Zq";

/// A file with a word of its own in place of each `@@`.
fn filled(template: &str, version: &str) -> String {
    let mut parts = template.split("@@");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (number, part) in parts.enumerate() {
        let _ = write!(text, "{STEM}{number:03}{version}{part}");
    }
    text
}

fn version<'a>(name: &'a str, text: &'a str) -> Version<'a> {
    Version { name, bytes: Some(text.as_bytes()) }
}

fn compared(old: &str, new: &str) -> Difference {
    Difference::between(&version("old", old), &version("new", new), true)
}

/// All ways in which a difference is shown.
fn outputs(old: &str, new: &str) -> Vec<String> {
    let mut all = Vec::new();
    for is_compose in [true, false] {
        let found = Difference::between(&version("old", old), &version("new", new), is_compose);
        all.extend([found.render(), found.render(), found.plain().join("\n"), format!("{found:?}")]);
    }
    all.push(format!("{:?}", meaning(old.as_bytes(), new.as_bytes())));
    all
}

#[test]
fn no_secret_of_a_made_file_comes_out() {
    for (name, template, kept) in FILES {
        let (old, new) = (filled(template, "old"), filled(template, "new"));
        // Every line stands in the output, be it as context: each is either changed or moved by its neighbours.
        let longer = new.lines().flat_map(|line| [line, "\n"]).collect::<String>();
        for (old, new) in [(&old, &new), (&new, &old), (&old, &longer)] {
            for output in outputs(old, new) {
                let leaks: Vec<&str> = output.lines().filter(|line| line.contains(STEM)).collect();
                assert!(leaks.is_empty(), "{name}: {leaks:#?}");
            }
        }
        for (old, new) in [("", &new[..]), (&old[..], "")] {
            let is_compose = name.ends_with("yml");
            let output = Difference::between(&version("old", old), &version("new", new), is_compose).render();
            assert!(!output.contains(STEM), "{name}: {output}");
            for line in kept {
                assert!(
                    output.lines().any(|shown| shown.get(1..) == Some(line)),
                    "{name}: {line} is gone: {output}"
                );
            }
        }
    }
}

#[test]
fn every_secret_of_a_made_file_is_hidden_by_where_it_stands_or_by_its_value() {
    for (name, template, _) in FILES {
        let text = filled(template, "x");
        let veil = Veil::over(&text);
        let documents = Documents::of(&text, "");
        if name.ends_with("yml") || name.ends_with("json") {
            assert_eq!(documents.valid().len(), 2, "{name} is not valid: {:?}", tree::parse(&text));
        }
        let secrets = Secrets::of(&[&veil], &documents.valid()).unwrap();
        let (mut by_place, mut by_value) = (Vec::new(), Vec::new());
        for (line, cut) in lines_of(&text).into_iter().zip(&veil.cuts) {
            let visible = &line[..cut.unwrap_or(line.len())];
            if visible.contains(STEM) {
                by_place.push(line);
            }
            if secrets
                .pieces(line, None)
                .iter()
                .any(|piece| matches!(piece, secrets::Piece::Shown(text) if text.contains(STEM)))
            {
                by_value.push(line);
            }
        }
        // What only the value betrays: escapes in a key, and names in another place.
        let excused = ["\\u0077", "\\u0061", "&again"];
        by_place.retain(|line| !excused.iter().any(|excuse| line.contains(excuse)));
        assert!(by_place.is_empty(), "{name}, by place: {by_place:#?}");
        by_value.retain(|line| !["| docker login", "a:b"].iter().any(|excuse| line.contains(excuse)));
        assert!(by_value.is_empty(), "{name}, by value: {by_value:#?}");
    }
}

#[test]
fn the_secrets_of_either_version_are_hidden_in_both() {
    let shown = compared("a: hunter2\nb: 1\n", "DB_PASSWORD: hunter2\nb: 2\n").render();
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_secret_is_hidden_wherever_else_it_stands() {
    let old = "password: hunter2\nurl: http://x/?p=hunter2&y\nname: my-hunter2-x\n";
    let shown = compared(old, &old.replace("&y", "&z")).plain().join("\n");
    assert_eq!(
        shown,
        "url: http://x/?p=(hidden)&y → http://x/?p=(hidden)&z\n--- old\n+++ new\n@@ -1,3 +1,3 @@\n password: (hidden)\n\
         -url: http://x/?p=(hidden)&y\n+url: http://x/?p=(hidden)&z\n name: my-(hidden)-x"
    );
}

#[test]
fn of_a_long_secret_nothing_is_left_over() {
    let secret: String = (0..50).map(|number| format!("{STEM}{number:03}")).collect();
    let shown = compared(&format!("password: {secret}\na: x{secret}y\n"), "").render();
    assert!(!shown.contains(STEM) && shown.contains("-a: x(changed)"), "{shown}");
    let shown = compared("password: abcdef\ntoken: defghi\nx: 1abcdefghi2\n", "").render();
    assert!(shown.contains("-x: 1(changed)2"), "secrets may overlap: {shown}");
}

#[test]
fn with_more_secrets_than_can_be_told_apart_nothing_is_shown() {
    let many: String = (0..20_001).map(|number| format!("x_token: {number:05}\n")).collect();
    let found = compared(&many, "x: 1\n");
    assert_eq!(found.plain(), ["more than 20,000 secrets are in it: it is not shown"]);
}

#[test]
fn what_was_and_is_secret_is_only_said_to_have_changed() {
    let found = compared(
        "services:\n  db:\n    environment:\n      DB_PASSWORD: one2three\n",
        "services:\n  db:\n    environment:\n      DB_PASSWORD: four5six\n",
    );
    let shown = found.plain();
    assert_eq!(shown[0], "services.db.environment.DB_PASSWORD: (changed)");
    assert_eq!(shown[shown.len() - 2..], ["-      DB_PASSWORD: (changed)", "+      DB_PASSWORD: (changed)"]);
}

#[test]
fn digests_stay_visible_unless_their_key_says_secret() {
    let digest = "0123456789abcdef".repeat(4);
    let old = format!("image: odoo@sha256:{digest}\nTOKEN: {}\n", digest.replace('0', "f"));
    let shown = compared(&old, &old.replace("odoo@", "odoo:18@")).render();
    assert!(
        shown.contains(&format!("+image: odoo:18@sha256:{digest}"))
            && !shown.contains(&digest.replace('0', "f")),
        "{shown}"
    );
}

#[test]
fn neither_huge_nor_strange_texts_take_long() {
    let started = std::time::Instant::now();
    let pieces = [
        "password: x\n",
        "- name: DB_PASSWORD\n",
        "  name: token\n",
        "\"password\" ",
        "a://b:",
        "&a *a\n",
        "[{(",
        "x\n",
        "password: *a &b\n",
        "<< x\n",
        "'",
        "token ",
    ];
    for piece in pieces {
        let old = piece.repeat((1 << 15) / piece.len());
        let new = old.replacen(piece, "y\n", 3);
        let _ = compared(&old, &new).render();
        assert!(started.elapsed().as_secs() < 60, "{piece:?}: {:?}", started.elapsed());
    }
}

proptest! {
    #![proptest_config(crate::random::cases(256))]

    #[test]
    fn no_value_of_a_secret_key_comes_out(
        before in "([a-z]{1,8}: [a-z0-9]{0,8}\n| {0,4}- [a-z\"']{1,8}\n|[ -~]{0,30}\n){0,6}",
        indent in " {0,6}",
        key in "[A-Za-z]{0,5}(PASSWORD|_TOKEN|-secret|Passwd|_key|_PASS)",
        sign in prop::sample::select(vec![": ", ":  ", "=", " = ", ": \"", ": '", ": |\n          ", ":\n          ", ": &a "]),
        secret in "[A-Z][a-z]{2}Zq[A-Za-z0-9/+]{4,20}",
        after in "([a-z]{1,8}: [a-z0-9]{0,8}\n| {0,4}- [a-z\"']{1,8}\n|[ -~]{0,30}\n){0,6}",
        other in "[ -~]{0,40}",
    ) {
        let text = format!("{before}{indent}{key}{sign}{secret}\n{after}");
        for output in outputs(&text, &format!("{other}\n{text}{other}\n")).into_iter().chain(outputs(&text, "x\n")) {
            prop_assert!(!output.contains(&secret), "{}\n{}", text, output);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(old in prop::collection::vec(any::<u8>(), 0..200), new in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = meaning(&old, &new);
        let version = |bytes| Version { name: "x", bytes };
        let _ = Difference::between(&version(Some(&old[..])), &version(Some(&new[..])), true).render();
        let _ = Difference::between(&version(None), &version(Some(&new[..])), true).render();
    }

    #[test]
    fn no_text_makes_it_panic(old in "([a-c\u{e9}]|[-:?&*!|>{}\\[\\],#'\"%@\\\\$<=]|[ \n\t\r]|password|<<|name: |://|-----BEGIN PRIVATE KEY-----){0,60}", new in "\\PC*") {
        let shown = compared(&old, &new).render();
        let is_plain = shown.chars().all(|c| c == '\n' || c == '\x1b' || !c.is_control());
        prop_assert!(is_plain);
    }
}

impl Difference {
    /// All of it in lines, meaning first, as a report puts them together.
    pub(super) fn plain(&self) -> Vec<String> {
        self.told().into_iter().chain(self.plain_lines()).collect()
    }

    /// The same as text.
    pub(super) fn render(&self) -> String {
        self.plain().into_iter().flat_map(|line| [line, "\n".to_owned()]).collect()
    }
}
