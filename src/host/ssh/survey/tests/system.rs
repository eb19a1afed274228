//! The state of the system as each shell tells it: the facts must be those of this machine.

use super::*;
use crate::control::waits;
use crate::host::{ProbeQuery, ShippedQuery, SystemQuery};

fn probes(lines: &[&str]) -> Query {
    let probe = |(number, line): (usize, &&str)| ProbeQuery {
        name: format!("p{number}"),
        run: ["sh", "-c", line].map(str::to_owned).to_vec(),
        timeout: waits::SSH_AFTERMATH.most,
        fact: None,
    };
    Query::System(SystemQuery::Probes(lines.iter().enumerate().map(probe).collect()))
}

#[test]
fn packages_services_and_output_are_the_same_whatever_the_shell() {
    let units = ["ssh.service", "a\\x2db.service"].map(str::to_owned).to_vec();
    let lines = [
        "echo it\\'s '$(id)'; printf '%s' ' a  b '",
        "printf 'caf\\303\\251\\n\\tx\\n\\n'",
        "printf 'a\\000b'",
        ":",
        "exit 3",
        "echo no >&2; pwd; echo $PATH | wc -l; echo ${OPENSSL_CONF-unset}",
        "head -c 65536 /dev/zero | tr '\\0' x",
        "head -c 65537 /dev/zero | tr '\\0' x",
        "cat /dev/zero",
        "echo begun; sleep 600",
        "[ -t 0 ] || read line || echo no input",
    ];
    let paths = ["/usr/bin/ls", "/etc/passwd", "/etc/ssh/sshd_config", "/usr/bin/no such 'thing'", "/etc"];
    let shipped = ShippedQuery {
        paths: paths.map(|path| path.as_bytes().to_vec()).to_vec(),
        package: Some("dpkg".to_owned()),
    };
    let queries = [
        Query::System(SystemQuery::Packages),
        Query::System(SystemQuery::Services(units)),
        probes(&lines),
        Query::System(SystemQuery::Shipped(shipped)),
    ];
    let project = Project::new();
    let here = agree(&project.layout(), &queries);
    assert!(here[0].starts_with("Ok") && here[0].contains("\"dpkg\""), "{}", here[0]);
    for part in
        ["exit code 3", "more than 64 KiB", "did not end in time", "no plain text", "no input", "unset"]
    {
        assert!(here[2].contains(part), "{part}: {}", here[2]);
    }
    assert!(here[3].contains("\"coreutils\"") && here[3].contains("\"as_shipped\": \"true\""), "{}", here[3]);
}

/// What each shell writes when it calls this function of the script with these words.
fn says(by: &[&str], words: &[&str]) -> Vec<u8> {
    let text = concat!(include_str!("../system.sh"), "\nunread() { why=no; }\n\"$@\"\n");
    let mut shell = Command::new(by[0]);
    shell.args(&by[1..by.len() - 1]).args(["-c", text, "sh"]).args(words).env("LC_ALL", "C");
    let output = shell.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{by:?} complains");
    output.stdout
}

#[test]
fn nothing_behind_a_zero_byte_is_passed_over() {
    let project = Project::new();
    project.file("zero.list", "P:a\nx\0\nP:b\n");
    std::fs::write(project.path("plain.list"), b"P:a\nx\xc3\nP:b\n").unwrap();
    let path = |name: &str| project.path(name).to_str().unwrap().to_owned();
    for by in SHELLS {
        for lines in ["", "^P:"] {
            let told = says(by, &["system_file", "n", &path("zero.list"), lines]);
            assert_eq!(
                shown(&told),
                "Sn\\x00it holds a zero byte, which no such file has\\x00x\\x00",
                "{by:?}"
            );
        }
        let told = says(by, &["system_file", "n", &path("plain.list"), "^P:"]);
        assert_eq!(shown(&told), "Sn\\x00P:a\\nP:b\\n\\x000\\x00", "{by:?}");
        let told = says(by, &["system_search", "n", &path(""), ".list", "x", "P:b"]);
        for line in ["plain.list:P:b", "zero.list:x?", "zero.list:P:b"] {
            assert!(shown(&told).contains(line), "{by:?}: {}", shown(&told));
        }
    }
}

#[test]
fn what_a_program_leaves_behind_does_not_hold_the_answer() {
    let project = Project::new();
    let queries = [probes(&["echo told; sleep 30 & exit 0"])];
    let began = std::time::Instant::now();
    for by in SHELLS {
        let told = by_script(by, &project.layout(), &queries, &Programs::Usual).remove(0);
        assert!(told.contains("left something running"), "{by:?}: {told}");
    }
    let here = locally(&project.layout(), &queries).remove(0);
    assert!(here.contains("told") && began.elapsed().as_secs() < 25, "{here}");
}

#[test]
fn without_the_programs_that_bound_it_a_probe_is_an_error() {
    let project = Project::new();
    let queries = [probes(&["echo 1"])];
    let few = Programs::Only(&["head", "ls", "od", "sha256sum", "sh"]);
    let told = by_script(SHELLS[0], &project.layout(), &queries, &few).remove(0);
    assert!(told.contains("timeout is not installed on the server"), "{told}");
}
