//! Canaries in every kind of place of made files, of which none may come out.

use proptest::prelude::*;

use super::{FileRole, outputs, outputs_where, read_as, version};
use crate::content::{Difference, Extent};

/// What each canary begins with, and nothing else.
const STEM: &str = "Kq7Canary";

/// Parts of a service, at its indentation; each `@@` is a canary.
const PARTS: [&str; 34] = [
    "environment: {A: @@, B_URL: 'pg://odoo:@@@db/x'}",
    "environment:\n- A=@@\n- 'B=x @@'\n- C",
    "environment:\n- @@\n- A=1",
    "environment: [{A: @@}]",
    "environment: @@",
    "env_file: [{path: .env, x-why: @@}]",
    "command: odoo --db-password @@ -w @@",
    "command: [odoo, -w, @@]",
    "entrypoint: [sh, -c, 'echo @@']",
    "entrypoint: |\n  @@\n  x",
    "labels: {a.b: @@, 'traefik.users': 'ada:@@'}",
    "labels:\n- a.b=@@\n- @@",
    "annotations: {a: @@}",
    "healthcheck: {test: [CMD, curl, -u, 'a:@@'], interval: 30s, x: @@}",
    "build: {context: 'https://@@@github.com/x', args: {A: @@}, secrets: [@@], ssh: [@@], cache_from: [@@]}",
    "build: {args: [A=@@, @@], additional_contexts: {a: @@}, labels: [a=@@]}",
    "image: https://ada:@@@registry/odoo",
    "image: ada:@@@registry/odoo:18",
    "volumes: ['nfs://ada:@@@host/x:/y', {type: bind, source: /x, x-secret: @@}]",
    "ports: ['@@@8069:8069', {target: 80, x-y: @@}]",
    "networks: {edge: {aliases: [a], driver_opts: {a: @@}, x: {y: @@}}}",
    "logging: {driver: splunk, options: {splunk-token: @@}, other: @@}",
    "deploy: {replicas: 2, labels: {a: @@}, placement: {constraints: [@@]}, resources: {limits: {x: @@}}}",
    "secrets: [{source: a, target: @@}]",
    "configs: [{source: a, content: @@}]",
    "develop: {watch: [{path: @@}]}",
    "post_start: [{command: @@}]",
    "credential_spec: {config: @@}",
    "storage_opt: {a: @@}",
    "x-own: {token: @@, @@: x, deep: [[{a: @@}]]}",
    "unknown: @@",
    "unknown: {@@: x, password: {@@: [@@]}}",
    "'@@ with blanks': x",
    "# @@\nimage: odoo:18 # @@",
];

/// The rest of a compose file.
const TOPS: [&str; 9] = [
    "secrets: {a: {environment: @@, file: @@, x: @@}}",
    "configs: {a: {content: @@, file: @@}}",
    "volumes: {a: {driver_opts: {o: 'username=x,password=@@'}, labels: [a=@@], x: @@}}",
    "networks: {a: {driver_opts: {a: @@}, ipam: {options: {a: @@}}, labels: {a: @@}}}",
    "x-shared: &shared {A: @@}\nx-list: [@@, {@@: a}]",
    "include: ['https://ada:@@@x/y', {path: @@}]",
    "models: {a: {model: @@}}",
    "@@ x: @@",
    "a: {b: {c: @@}}",
];

/// Files of settings.
const SETTINGS: [&str; 10] = [
    "A=@@\nB='x @@'\n# @@\nC=$(cat @@)\n",
    "A=\"@@\n@@=x\n@@\"\n",
    "A=\"x\n@@=y\"\n",
    "A=x\n@@\n",
    "[options]\na = @@\n    @@\n; @@\n[other]\nb = x @@\n",
    "a = \"@@\"\nb = [\n\"@@\",\n]\n[c]\nd = \"\"\"\n@@ = 1\n\"\"\"\n",
    "a: {b: [@@, {c: @@}]}\nd: |\n  @@\n  @@: x\n",
    "{\"a\": \"@@\", \"b\": [{\"c\": \"@@\"}]}\n",
    "Port @@\nMatch User @@\n  X @@\n",
    "machine x login y password @@\n",
];

/// The text with a canary of its own in place of each `@@`.
fn filled(template: &str, version: u64) -> String {
    let mut parts = template.split("@@");
    let first = parts.next().unwrap_or_default().to_owned();
    let (out, _) = parts
        .fold((first, 0), |(out, number), part| (format!("{out}{STEM}{version}x{number}{part}"), number + 1));
    out
}

fn indented(part: &str) -> String {
    part.lines().flat_map(|line| ["    ", line, "\n"]).collect()
}

proptest! {
    #![proptest_config(crate::random::cases(256))]

    #[test]
    fn no_canary_of_a_compose_file_comes_out(
        parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..6),
        others in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..6),
        tops in prop::collection::vec(prop::sample::select(&TOPS[..]), 0..3),
        style in 0..3,
        seed in any::<u64>(),
    ) {
        let text = |parts: &[&str]| {
            // One key twice would be no document.
            let mut keys = std::collections::BTreeSet::new();
            let fresh = parts.iter().filter(|part| keys.insert(part.split(':').next().unwrap_or_default()));
            let service: String = fresh.map(|part| indented(part)).collect();
            let mut tops: Vec<&str> = tops.clone();
            tops.dedup_by_key(|top| top.split(':').next());
            format!("services:\n  web:\n    restart: always\n{service}{}\n", tops.join("\n"))
        };
        let (mut old, mut new) = (filled(&text(&parts), seed), filled(&text(&others), !seed));
        match style {
            0 => {}
            1 => new.push_str("a: [\n"),
            _ => old.push_str("---\nb: 1\n"),
        }
        for (old, new) in [(&old[..], &new[..]), (&new, &old), ("", &new), (&old, "")] {
            for output in outputs_where(old, new, |role| role == FileRole::Compose) {
                prop_assert!(!output.contains(STEM), "{}\n{}\n{}", old, new, output);
            }
        }
    }

    #[test]
    fn no_canary_of_any_single_place_comes_out(at in 0..PARTS.len() + TOPS.len(), seed in any::<u64>()) {
        let template = match PARTS.get(at) {
            Some(part) => format!("services:\n  web:\n{}", indented(part)),
            None => TOPS[at - PARTS.len()].to_owned(),
        };
        for other in [filled(&template, !seed), "services: {web: {}}\n".to_owned()] {
            for output in outputs_where(&filled(&template, seed), &other, |role| role == FileRole::Compose) {
                prop_assert!(!output.contains(STEM), "{}\n{}", template, output);
            }
        }
    }

    #[test]
    fn no_canary_of_settings_comes_out(
        parts in prop::collection::vec(prop::sample::select(&SETTINGS[..]), 1..3),
        others in prop::collection::vec(prop::sample::select(&SETTINGS[..]), 1..3),
        seed in any::<u64>(),
    ) {
        let (old, new) = (filled(&parts.concat(), seed), filled(&others.concat(), !seed));
        for (old, new) in [(&old[..], &new[..]), ("", &new), (&old, "")] {
            for output in outputs(old, new) {
                prop_assert!(!output.contains(STEM), "{}\n{}\n{}", old, new, output);
            }
        }
    }
}

#[test]
fn the_places_are_such_as_are_shown_elsewhere() {
    // Who asks for everything sees each canary: they do stand in what is compared.
    for template in PARTS.iter().chain(&TOPS).chain(&SETTINGS) {
        let (old, new) = (filled(template, 1), filled(template, 2));
        let (role, path) = (FileRole::Compose, "compose.yml");
        let shown =
            Difference::between(path, role, &version("a", &old), &version("b", &new), Extent::Everything);
        assert!(shown.lines.concat().contains(&format!("{STEM}2x0")), "{template}");
    }
    let shown =
        read_as((FileRole::Compose, "compose.yml"), "services: {a: {image: b}}", "services: {a: {image: c}}");
    assert_eq!(shown.meaning_lines(), ["services.a.image: b → c"]);
}
