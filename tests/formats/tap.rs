//! `--format tap`: judged by `prove`, and read by the parser behind it.

use serde_json::Value;

use super::{HOSTILE, Situation, situations, tool};

const PARSE: &str = r#"
use strict; use warnings; use TAP::Parser; use JSON::PP;
local $/; binmode(STDIN, ":utf8"); my $text = <STDIN>;
my $parser = TAP::Parser->new({ tap => $text });
my @points; my $version;
while (my $result = $parser->next) {
    if ($result->is_test) {
        push @points, { ok => $result->is_actual_ok ? 1 : 0, passes => $result->is_ok ? 1 : 0,
            name => $result->description, directive => $result->directive, why => $result->explanation };
    } elsif ($result->is_yaml) {
        $points[-1]{yaml} = $result->data;
    } elsif ($result->is_version) {
        $version = $result->version;
    } elsif ($result->is_unknown && $result->raw =~ /\S/) {
        die "unknown line: " . $result->raw;
    }
}
die join("\n", $parser->parse_errors) if $parser->parse_errors;
print JSON::PP->new->ascii->encode({ version => $version, points => \@points });
"#;

/// The points of a document, and whether `prove` is content with it.
fn proved(tap: &str) -> (Vec<Value>, bool) {
    let (code, out) = tool(&["perl", "-e", PARSE], tap);
    assert_eq!(code, 0, "{out}\n{tap}");
    let parsed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(parsed["version"], "13");
    let dir = assert_fs::TempDir::new().unwrap();
    let file = dir.path().join("report.tap");
    std::fs::write(&file, tap).unwrap();
    let (code, out) = tool(&["prove", "--exec", "cat", &file.display().to_string()], "");
    assert!(!out.contains("Parse errors"), "{out}");
    (parsed["points"].as_array().unwrap().clone(), code == 0)
}

#[test]
fn prove_says_what_the_exit_code_says() {
    for situation in situations() {
        let name = situation.name;
        let (tap, [passed, failed, errors, skipped]) = situation.report("tap");
        let (points, is_content) = proved(&tap);
        assert_eq!(is_content, situation.code == 0, "{name}\n{tap}");
        let beyond = usize::from(matches!(name, "nothing compared" | "not kept"));
        assert_eq!(points.len(), passed + failed + errors + skipped + beyond, "{name}");
        let count = |such: &dyn Fn(&Value) -> bool| points.iter().filter(|point| such(point)).count();
        assert_eq!(count(&|point| point["directive"] == "SKIP"), skipped, "{name}");
        assert_eq!(count(&|point| point["ok"] == 1), passed + skipped, "{name}");
        for point in points.iter().filter(|point| point["ok"] == 0) {
            assert!(point["yaml"]["message"].is_string(), "{name}: {point}");
            let severity = point["yaml"]["severity"].as_str().unwrap();
            assert!(["fail", "error"].contains(&severity), "{name}: {point}");
        }
    }
}

#[test]
fn drift_that_is_excused_is_a_failure_that_was_expected() {
    let excused = Situation::of("excused");
    let (points, is_content) = proved(&excused.report("tap").0);
    let todo: Vec<&Value> = points.iter().filter(|point| point["directive"] == "TODO").collect();
    assert!(is_content && todo.len() == 2, "{points:?}");
    assert!(todo[0]["why"].as_str().unwrap().ends_with("): release | 18.2 # TODO"), "{todo:?}");
}

#[test]
fn a_skip_says_why_and_a_name_says_where() {
    let of = |name: &str| proved(&Situation::of(name).report("tap").0).0;
    let skipped = of("skip").into_iter().find(|point| point["name"] == "- local: docker_images").unwrap();
    assert!(skipped["why"].as_str().unwrap().contains("there is no socket at"), "{skipped}");
    let names: Vec<Value> = of("several targets").iter().map(|point| point["name"].clone()).collect();
    assert_eq!((&names[0], names.len()), (&"- alpha: lock_files_exist".into(), 12));
}

#[test]
fn every_hostile_name_arrives_as_the_terminal_shows_it() {
    let situation = Situation::of("hostile");
    let (points, _) = proved(&situation.report("tap").0);
    assert_eq!(points.len(), 3);
    let found = points[1]["yaml"]["found"].as_array().unwrap();
    for name in HOSTILE {
        let name = driftlock::model::escaped(name);
        let line = format!("[FAIL] Compose drift: infra/stacks/{name}/docker-compose.yml");
        assert!(found.iter().any(|found| *found == line.as_str()), "{line}\n{found:#?}");
    }
}
