//! What people type first and driftlock does not have: one line that says so, and one with the command that does it.

use crate::support::Project;
use crate::support::git::{commit_all, git};

/// Runs a call that is none: the error and the hint, and nothing else.
fn hint(project: &Project, args: &[&str]) -> (String, String) {
    let ran = project.run(args);
    let (err, out) = (ran.err(), ran.out());
    assert_eq!((ran.code(), out.as_str()), (1, ""), "{args:?}: {err}");
    let lines: Vec<&str> = err.lines().collect();
    let [error, hint] = lines.as_slice() else { panic!("{args:?}: {err}") };
    let parts = (error.strip_prefix("error: "), hint.strip_prefix(" hint: "));
    let (Some(error), Some(hint)) = parts else { panic!("{args:?}: {err}") };
    (error.to_owned(), hint.to_owned())
}

fn with_target() -> Project {
    let project = Project::accepted();
    let toml = project.read("audit/driftlock.toml");
    let target = format!("[targets.production]\nhost = \"local\"\nroot = \"{}\"\n", project.root().display());
    project.file("audit/driftlock.toml", &(toml + &target));
    project
}

#[test]
fn words_of_other_tools_lead_to_the_command() {
    let project = Project::accepted();
    for (word, command) in [
        ("plan", "driftlock check"),
        ("apply", "driftlock accept"),
        ("log", "driftlock history"),
        ("list", "driftlock status"),
        ("show", "driftlock report"),
        ("version", "driftlock --version"),
    ] {
        let (error, hint) = hint(&project, &[word]);
        assert!(error.starts_with(&format!("there is no command \"{word}\": ")), "{error}");
        assert_eq!(hint, command);
        let again = self::hint(&project, &["--root", "plan", "--color=never", word, "-x"]);
        assert_eq!((again.0, again.1), (error, hint), "whatever stands around it");
    }
    assert!(project.run(&["nonsense"]).err().contains("unrecognized subcommand"));
}

#[test]
fn json_is_a_format() {
    let project = Project::accepted();
    for command in ["check", "history"] {
        let words: &[&str] = &[command, "--json"];
        assert_eq!(hint(&project, words).1, format!("driftlock {command} --format json"));
    }
    assert!(project.run(&["prune", "--json"]).err().contains("unexpected argument"));
}

#[test]
fn a_name_behind_check_is_a_target_a_check_or_a_subject() {
    let project = with_target();
    for (word, what, command) in [
        ("production", "is a target", "driftlock check --target production"),
        ("addon_hashes", "is a check", "driftlock check --only addon_hashes"),
        ("qr_ordering", "is an addon module", "driftlock explain qr_ordering"),
        ("x\u{1b}[31m", "is neither", "driftlock status names this machine and every target"),
    ] {
        let (error, hint) = hint(&project, &["check", word]);
        assert!(error.contains(what) && !error.contains('\u{1b}'), "{error:?}");
        assert_eq!(hint, command);
    }
    assert_eq!(hint(&project, &["export", "production"]).1, "driftlock export --target production");
    project.ok(&["explain", "qr_ordering"]);
    assert_eq!(
        project.run(&["check", "--target", "production", "--docker", "off"]).code(),
        0,
        "it does what it says"
    );
}

#[test]
fn a_subject_behind_only_leads_to_it_and_to_its_check() {
    let project = with_target();
    let (error, hint) = hint(&project, &["check", "--only", "qr_ordering"]);
    assert_eq!(
        error,
        "--only names a check; \"qr_ordering\" is an addon module, which addon_hashes compares"
    );
    assert_eq!(hint, "driftlock explain qr_ordering (it alone), or driftlock check --only addon_hashes");
    let (_, hint) = self::hint(&project, &["check", "--only=production"]);
    assert_eq!(hint, "driftlock check --target production");
    let unknown = project.run(&["check", "--only", "addon_hashe"]);
    assert!(unknown.code() == 1 && unknown.err().contains("addon_hashes"), "{}", unknown.err());
}

#[test]
fn bare_revisions_and_targets_are_written_as_diff_takes_them() {
    let project = with_target();
    git(&project, &["init", "-q"]);
    commit_all(&project, "release 18.3");
    git(&project, &["tag", "v18.3"]);
    project.file("odoo_modules/seisei/printer/models/order.py", "# 18.4\n");
    commit_all(&project, "release 18.4");
    git(&project, &["tag", "v18.4"]);
    let (error, command) = hint(&project, &["diff", "v18.3", "v18.4"]);
    assert_eq!(error, "there is no run \"v18.3\": it is a revision of git, which diff takes as git:v18.3");
    assert_eq!(command, "driftlock diff git:v18.3 git:v18.4");
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    assert_eq!(project.run(&words).code(), 2, "the command does what it says");
    assert_eq!(
        hint(&project, &["diff", "production", "v18.4"]).1,
        "driftlock diff target:production git:v18.4"
    );
    assert_eq!(hint(&project, &["diff", "v18.4"]).1, "driftlock diff git:v18.4 here");
    assert!(project.run(&["diff", "nonsense", "v18.3"]).err().contains("git:v18.3"));
    assert!(project.run(&["diff", "nonsense"]).err().contains("there is no run \"nonsense\""));
}

#[test]
fn diff_alone_compares_the_baseline_with_what_is_here() {
    let project = Project::accepted();
    assert_eq!(project.run(&["diff", "--quiet"]).code(), 0);
    project.file("odoo_modules/seisei/printer/models/order.py", "# by hand\n");
    let ran = project.run(&["diff"]);
    assert_eq!(ran.code(), 2, "{}{}", ran.out(), ran.err());
    assert!(ran.out().contains("  From: baseline\n  To: here\n"), "{}", ran.out());
    assert!(ran.out().contains("[FAIL] Addon drift: printer\n"), "{}", ran.out());
    assert!(!project.path("audit/runtime/latest.json").exists(), "a diff leaves no run");
}
