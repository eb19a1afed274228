//! Whole files full of secrets, of which none may come out.

mod canary;
mod leaks;
mod ways;
mod yaml;

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// Files in which each `@@` stands for a secret, with a name of each.
const FILES: [(&str, &str); 5] = [
    ("compose.yml", include_str!("compose.yml")),
    (".env", include_str!("dot.env")),
    ("odoo.conf", include_str!("odoo.conf")),
    ("settings.py", include_str!("settings.py")),
    ("settings.json", include_str!("settings.json")),
];

/// Every way in which a file is read whose lines are not shown.
const READINGS: [(FileRole, &str); 10] = [
    (FileRole::Compose, "infra/compose.yml"),
    (FileRole::Configuration, "infra/routes.yaml"),
    (FileRole::Configuration, "infra/.env"),
    (FileRole::Configuration, "odoo.conf"),
    (FileRole::Configuration, "settings.toml"),
    (FileRole::Configuration, "/etc/ssh/sshd_config"),
    (FileRole::Configuration, "settings.py"),
    (FileRole::Module, "shop/data/settings.json"),
    (FileRole::Module, "shop/.env"),
    (FileRole::Module, "shop/requirements.txt"),
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

/// Two versions of a file, read in one way.
fn read_as((role, path): (FileRole, &str), old: &str, new: &str) -> Difference {
    Difference::between(path, role, &version("old", old), &version("new", new), Extent::Disclosed)
}

fn compared(old: &str, new: &str) -> Difference {
    read_as(READINGS[0], old, new)
}

/// All that is shown of a difference, however the file is read.
fn outputs(old: &str, new: &str) -> Vec<String> {
    outputs_where(old, new, |_| true)
}

fn outputs_where(old: &str, new: &str, is_read: impl Fn(FileRole) -> bool) -> Vec<String> {
    let readings = READINGS.into_iter().filter(|(role, _)| is_read(*role));
    readings
        .flat_map(|reading| {
            let found = read_as(reading, old, new);
            [found.render(), format!("{found:?}")]
        })
        .collect()
}

#[test]
fn no_secret_of_a_made_file_comes_out() {
    for (name, template) in FILES {
        // A secret that is the name of a key is known to be none where names of keys are shown alone: in compose files.
        for (template, is_compose) in
            [(template.replace("@@: c", "c: c"), false), (template.to_owned(), true)]
        {
            let (old, new) = (filled(&template, "old"), filled(&template, "new"));
            let longer = new.lines().flat_map(|line| [line, "\n"]).collect::<String>();
            for (old, new) in [(&old[..], &new[..]), (&new, &old), (&old, &longer), ("", &new), (&old, "")] {
                for output in outputs_where(old, new, |role| !is_compose || role == FileRole::Compose) {
                    let leaks: Vec<&str> = output.lines().filter(|line| line.contains(STEM)).collect();
                    assert!(leaks.is_empty(), "{name}: {leaks:#?}");
                }
            }
        }
    }
}

#[test]
fn the_secrets_of_either_version_are_hidden_in_both() {
    for shown in outputs("a: hunter2\nb: 1\n", "DB_PASSWORD: hunter2\nb: 2\n") {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_secret_is_hidden_wherever_else_it_stands() {
    let old = "password: hunter2\nurl: http://x/?p=hunter2&y\nname: my-hunter2-x\n";
    let shown = compared(old, &old.replace("&y", "&z")).plain();
    assert_eq!(shown, ["url: (changed)", "1 line differs (--show-content shows it)"]);
    let shown = read_as(READINGS[1], old, "name: my-hunter3\n").plain();
    assert_eq!(
        shown,
        [
            "name: (changed)",
            "password: removed",
            "url: removed",
            "3 lines differ (--show-content shows them)"
        ]
    );
}

#[test]
fn of_a_long_secret_nothing_is_left_over() {
    let secret: String = (0..50).map(|number| format!("{STEM}{number:03}")).collect();
    for shown in outputs(&format!("password: {secret}\na: x{secret}y\n"), "") {
        assert!(!shown.contains(STEM), "{shown}");
    }
}

#[test]
fn what_was_and_is_secret_is_only_said_to_have_changed() {
    let found = compared(
        "services:\n  db:\n    environment:\n      DB_PASSWORD: one2three\n",
        "services:\n  db:\n    environment:\n      DB_PASSWORD: four5six\n",
    );
    let shown = found.plain();
    assert_eq!(shown[0], "services.db.environment.DB_PASSWORD: (changed)");
    assert_eq!(shown[1..], ["1 line differs (--show-content shows it)"]);
}

#[test]
fn digests_of_images_stay_visible() {
    let digest = "0123456789abcdef".repeat(4);
    let old = format!("services: {{web: {{image: 'odoo@sha256:{digest}', labels: {{TOKEN: {digest}}}}}}}\n");
    let shown = compared(&old, &old.replace("odoo@", "odoo:18@").replace("0}}}", "1}}}")).render();
    assert!(shown.contains(&format!("→ odoo:18@sha256:{digest}\n")), "{shown}");
    let shown = compared(&old, &old.replace("sha256", "sha512")).render();
    assert!(shown.starts_with("services.web.image: (changed)\n"), "{shown}");
}

#[test]
fn everything_is_shown_to_who_asks_for_it() {
    for (role, path) in READINGS {
        let (old, new) = (version("a", "PASSWORD=one2\n"), version("b", "PASSWORD=two3\n"));
        let lines = Difference::between(path, role, &old, &new, Extent::Everything).lines;
        assert_eq!(lines, ["--- a", "+++ b", "@@ -1 +1 @@", "-PASSWORD=one2", "+PASSWORD=two3"], "{path}");
    }
}

#[test]
fn of_settings_names_of_keys_are_shown_alone() {
    let environment = ("A=1\nB=2\nC=3\n", "A=1\n# x\nB=3\nD=4\n");
    let shown = read_as(READINGS[2], environment.0, environment.1).meaning_lines();
    assert_eq!(shown, ["B: (changed)", "C: removed", "D: added"]);
    let shown = read_as(READINGS[3], "[options]\na = 1\n", "[options]\na = 2\n[new]\nb = 1\n");
    assert_eq!(shown.meaning_lines(), ["new: added", "options.a: (changed)"]);
    let shown = read_as(READINGS[1], "http: {users: [a]}\n", "http: {users: [b], tls: {on: true}}\n");
    assert_eq!(shown.meaning_lines(), ["http.tls: added", "http.users: (changed)"]);
    let shown = read_as(READINGS[5], "Port 22\nAllowUsers a\n", "Port 22\nAllowUsers b\n");
    assert_eq!(shown.meaning_lines(), ["AllowUsers: (changed)"]);
    let shown = read_as(READINGS[2], "A=1\n", "A=1 # x\nno setting\n");
    assert_eq!(shown.plain(), ["2 lines differ (--show-content shows them)"]);
}

#[test]
fn settings_in_another_order_are_not_the_same() {
    for (reading, old, new) in [
        (2, "A=1\nB=$A\n", "B=$A\nA=1\n"),
        (5, "Port 22\nMatch User a\nPort 23\n", "Port 22\nPort 23\nMatch User a\n"),
        (3, "[a]\nb = 1\n[c]\nd = 1\n", "[c]\nd = 1\n[a]\nb = 1\n"),
    ] {
        assert_eq!(
            read_as(READINGS[reading], old, new).meaning_lines(),
            ["the document: order changed"],
            "{new}"
        );
    }
    let same = ["the same by meaning: only how it is written differs"];
    assert_eq!(read_as(READINGS[2], "A=1\nB=2\n", "# x\nA = 1\n\nB=2").meaning_lines(), same);
    assert_eq!(read_as(READINGS[3], "[a]\nb = 1\n", "; x\n[a]\nb=1\n").meaning_lines(), same);
    assert_eq!(read_as(READINGS[1], "a: 1\nb: 2\n", "b: 2\na: 1\n").meaning_lines(), same);
    let shown = read_as(READINGS[2], "A=1\n;B=1\n", "A=1\n;B=2\n").meaning_lines();
    assert_eq!(shown, Vec::<String>::new(), "it is no comment there, and nobody knows what it is");
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
        let _ = outputs(&old, &new);
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
        let version = |bytes| Version { name: "x", bytes };
        for (role, path) in READINGS.into_iter().chain([(FileRole::Module, "x.py")]) {
            for extent in [Extent::Disclosed, Extent::Everything] {
                for old in [Some(&old[..]), None] {
                    let _ = Difference::between(path, role, &version(old), &version(Some(&new[..])), extent).render();
                }
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(old in "([a-c\u{e9}]|[-:?&*!|>{}\\[\\],#'\"%@\\\\$<=]|[ \n\t\r]|password|<<|name: |://|-----BEGIN PRIVATE KEY-----){0,60}", new in "\\PC*") {
        let shown = outputs(&old, &new).concat();
        let is_plain = shown.chars().all(|c| c == '\n' || c == '\x1b' || !c.is_control());
        prop_assert!(is_plain);
    }
}

impl Difference {
    /// All of it in lines, meaning first, as a report puts them together.
    pub(super) fn plain(&self) -> Vec<String> {
        self.meaning_lines().into_iter().chain(self.lines.iter().cloned()).collect()
    }

    /// The same as text.
    pub(super) fn render(&self) -> String {
        self.plain().into_iter().flat_map(|line| [line, "\n".to_owned()]).collect()
    }
}
