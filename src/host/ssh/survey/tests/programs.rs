//! Whatever shell and whatever programs a server has, and files that move or cannot be read.

use super::*;

#[test]
fn every_program_that_hashes_will_do() {
    let project = hostile::hostile_tree();
    let queries = [
        Query::Modules(modules(patterns(&["addons"]))),
        Query::Files(files(patterns(&["names/*", "stacks/*/docker-compose*.yml"]))),
    ];
    let here = locally(&project.layout(), &queries);
    // The third shell is busybox, which takes its own programs wherever others are found.
    let programs = [
        Programs::Only(&["head", "ls", "od", "readlink", "shasum", "perl", "tr"]),
        Programs::Only(&["head", "ls", "od", "readlink", "openssl", "tr"]),
        Programs::Busybox,
        Programs::Only(&["head", "ls", "od", "readlink", "openssl", "tr"]),
        Programs::Only(&["head", "ls", "od", "readlink", "shasum", "perl", "tr"]),
        Programs::Busybox,
        Programs::Only(&["find", "head", "ls", "od", "readlink", "sed", "sha256sum", "tr", "xargs"]),
        Programs::Only(&["find", "head", "ls", "od", "openssl", "readlink", "sed", "tr", "xargs"]),
    ];
    for (programs, by) in programs.into_iter().zip(SHELLS.iter().cycle()) {
        assert_same(&here, &by_script(by, &project.layout(), &queries, &programs), by);
    }
}

#[test]
fn without_a_program_that_shows_bytes_bytecode_is_unreadable() {
    let project = Project::new();
    project.module("addons/a");
    let queries = [Query::Modules(modules(patterns(&["addons"])))];
    let observe = |missing: &str| {
        let all = ["head", "od", "tr"];
        let programs: &'static [&'static str] = match all.iter().position(|name| *name == missing) {
            Some(0) => &["ls", "od", "readlink", "sha256sum", "tr"],
            Some(1) => &["head", "ls", "readlink", "sha256sum", "tr"],
            _ => &["head", "ls", "od", "readlink", "sha256sum"],
        };
        by_script(SHELLS[0], &project.layout(), &queries, &Programs::Only(programs)).remove(0)
    };
    let here = locally(&project.layout(), &queries).remove(0);
    assert_eq!(observe("od"), here, "where there is no bytecode they are not needed");
    project.file("addons/a/models/__pycache__/order.cpython-311.pyc", b"\xa7\r\r\n\0\0\0\0mtimesize code");
    for missing in ["head", "od", "tr"] {
        let seen = observe(missing);
        assert!(seen.contains("1 of its paths could not be read"), "{missing}: {seen}");
        assert!(seen.contains("head, od and tr are needed on the server"), "{missing}: {seen}");
    }
}

#[test]
fn without_a_program_that_hashes_there_is_one_clear_error() {
    let project = Project::new();
    let survey = Survey::new(&project.layout(), &[Query::Files(files(patterns(&["*"])))]).unwrap();
    let output = run(SHELLS[0], survey.script(), &Programs::Only(&["ls", "readlink"]));
    let mut reader = survey.reader();
    let why = reader.feed(&output, &Watch::default()).unwrap_err();
    assert_eq!(
        why.to_string(),
        "none of sha256sum, shasum and openssl is installed on the server: install coreutils there"
    );
    assert_eq!(reader.finish().unwrap_err(), why);
}

#[test]
fn the_account_may_have_any_shell() {
    let project = Project::new();
    project.module("addons/it's");
    project.file("stacks/a !$x/docker-compose.yml", "a");
    let queries = [
        Query::Modules(modules(patterns(&["addons"]))),
        Query::Files(files(patterns(&["stacks/*/docker-compose*.yml"]))),
    ];
    let here = locally(&project.layout(), &queries);
    for by in [["fish", "-c", "sh -s"], ["csh", "-c", "sh -s"], ["bash", "-c", "exec sh -s"]] {
        assert_same(&here, &by_script(&by, &project.layout(), &queries, &Programs::Usual), &by);
    }
}

#[test]
fn a_module_that_moves_is_looked_at_again() {
    let project = Project::new();
    project.module("addons/moving");
    // The first of its files: it is there again when the others have been hashed, so whenever it is listed.
    project.file("addons/moving/A.py", "x");
    let victim = project.path("addons/moving/A.py");
    let (victim, queries) = (victim.display(), [Query::Modules(modules(patterns(&["addons"])))]);
    let observe = |text: String| {
        by_script(SHELLS[0], &project.layout(), &queries, &Programs::Own("sha256sum", text)).remove(0)
    };
    let sha256sum = found("sha256sum");
    let real = sha256sum.display();
    let always =
        format!("if [ $# = 0 ]; then : >'{victim}'; else /bin/rm '{victim}'; fi; exec {real} \"$@\"");
    let kept_vanishing = observe(always);
    assert!(kept_vanishing.contains("files in it kept vanishing while it was read"), "{kept_vanishing}");
    let once = observe(format!("/bin/rm -f '{victim}'; exec {real} \"$@\""));
    assert_eq!(once, locally(&project.layout(), &queries)[0]);
    assert!(once.contains("whole") && !once.contains("A.py"), "{once}");
}

#[test]
fn a_plain_module_that_moves_while_it_is_hashed_is_listed_again() {
    let project = Project::new();
    for name in ["a", "b", "c"] {
        project.module(&format!("addons/{name}"));
    }
    let queries = [Query::Modules(modules(patterns(&["addons"])))];
    let sha256sum = found("sha256sum");
    let real = sha256sum.display();
    for by in &SHELLS[..2] {
        project.file("addons/b/A.py", "x");
        let victim = project.path("addons/b/A.py");
        // Only files of plain modules are named by their absolute paths.
        let text =
            format!("case $1 in /*/addons/*) /bin/rm -f '{}' ;; esac; exec {real} \"$@\"", victim.display());
        let seen = by_script(by, &project.layout(), &queries, &Programs::OwnBesideFind("sha256sum", text));
        assert!(!victim.exists(), "find did not list the modules");
        assert_same(&locally(&project.layout(), &queries), &seen, by);
    }
}

#[test]
fn openssl_that_gives_wrong_digests_is_not_asked() {
    let project = Project::new();
    (0..30).for_each(|n| project.file(format!("addons/a/{n}.py"), n.to_string()));
    project.module("addons/a");
    let queries =
        [Query::Modules(modules(patterns(&["addons"]))), Query::Files(files(patterns(&["addons/a/*"])))];
    let here = locally(&project.layout(), &queries);
    let openssl = found("openssl");
    for wrong in ["| tr 0-9 1-90", "| tr '*' ' '", "; exit 1", "| tr abc ABC"] {
        let text = format!("{} \"$@\" {wrong}", openssl.display());
        let programs = Programs::OwnBesideFind("openssl", text);
        assert_same(&here, &by_script(SHELLS[0], &project.layout(), &queries, &programs), SHELLS[0]);
    }
}

#[test]
fn a_find_that_fails_leaves_all_to_the_shell() {
    let project = Project::new();
    for name in ["a", "b"] {
        project.module(&format!("addons/{name}"));
    }
    let queries = [Query::Modules(modules(patterns(&["addons"])))];
    let here = locally(&project.layout(), &queries);
    let find = found("find");
    for text in ["exit 1", "case $1 in /.) ;; *) exit 1 ;; esac; exec {} \"$@\"", "{} \"$@\"; exit 1"] {
        let text = text.replace("{}", &find.display().to_string());
        let programs = Programs::OwnBesideFind("find", text);
        let seen = by_script(SHELLS[0], &project.layout(), &queries, &programs);
        assert_same(&here, &seen, SHELLS[0]);
    }
}

#[test]
fn a_file_that_cannot_be_read_has_its_reason() {
    let project = Project::new();
    project.module("addons/a");
    project.file("addons/a/broken.py", "broken");
    let queries = [Query::Modules(modules(patterns(&["addons"])))];
    let sha256sum = found("sha256sum");
    let real = sha256sum.display();
    let text = format!(
        "[ $# = 0 ] || exit 1; text=$({real}); [ \"${{text%% *}}\" != {} ] || {{ echo 'sha256sum: -: Input/output error' >&2; exit 1; }}; echo \"$text\"",
        crate::model::Digest::of(b"broken")
    );
    // Busybox takes its own program, wherever others are found.
    for by in &SHELLS[..2] {
        let programs = Programs::Own("sha256sum", text.clone());
        let seen = by_script(by, &project.layout(), &queries, &programs).remove(0);
        assert!(seen.contains("1 of its paths could not be read"), "{seen}");
        assert!(seen.contains("broken.py") && seen.contains("input/output error"), "{seen}");
        assert!(seen.contains("models/order.py File("), "{seen}");
    }
}

#[test]
fn a_directory_that_seems_to_be_empty_is_looked_at_again() {
    let project = Project::new();
    project.module("addons/a");
    project.dir("addons/a/broken");
    project.dir("stacks/broken");
    let queries = [
        Query::Modules(modules(patterns(&["addons"]))),
        Query::Files(files(patterns(&["stacks/broken/*"]))),
        Query::Files(files(patterns(&["stacks/**"]))),
    ];
    let ls = found("ls");
    let text = format!(
        "case $* in *broken | *broken/) echo 'ls: reading directory: Input/output error' >&2; exit 2 ;; esac; exec {} \"$@\"",
        ls.display()
    );
    for by in &SHELLS[..2] {
        let seen = by_script(by, &project.layout(), &queries, &Programs::Own("ls", text.clone()));
        assert!(seen[0].contains("1 of its paths") && seen[0].contains("input/output error"), "{}", seen[0]);
        for seen in &seen[1..] {
            assert!(seen.contains("this directory cannot be listed: input/output error"), "{seen}");
        }
    }
}

#[test]
fn real_modules_are_seen_as_they_are_seen_here() {
    let wheels = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/wheels");
    if wheels.join("addons").is_dir() {
        let query = ModuleQuery { exclude: globs(&["*/static/lib/**"]), ..modules(patterns(&["addons"])) };
        let here = agree(&Layout::of_root(&wheels), &[Query::Modules(query)]);
        assert!(here[0].contains("whole"), "{}", here[0]);
    }
}

#[test]
fn containers_alone_need_no_script() {
    let query = crate::host::ContainerQuery {
        patterns: vec![],
        named: std::collections::BTreeSet::new(),
        locked: None,
        mounts: true,
        exclude: vec![],
        contents: vec![],
        environments: false,
        image: None,
        ignores_unnamed: false,
        limited: crate::host::Limited::default(),
        ports: false,
        states: false,
        clock: || 0,
    };
    assert!(Survey::new(&Layout::of_root(Path::new("/")), &[Query::Containers(query)]).is_none());
}
