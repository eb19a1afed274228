//! What is left out of a module: random trees with bytecode of all names, held against the command of the contract.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};

use super::*;

/// The command that the digest of a module without links is defined by.
const COMMAND: &str = r"find . \( -name .git -o -name .hg -o -name .svn \) -prune -o -type f ! -name .DS_Store ! -name '*.swp' ! -name '*~' ! -regex '.*/__pycache__/[^/]*\.pyc\(\.[0-9]+\)?' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 -r sha256sum -- | sha256sum";

const DIRECTORIES: [&[u8]; 10] = [
    b"__pycache__",
    b"__pycache__",
    b"__pycache__",
    b"models",
    b"a.pyc",
    b"x__pycache__",
    b"two\nlines",
    b"-d",
    b"\xff\xfe",
    b".git",
];

const NAMES: [&[u8]; 28] = [
    b"x.pyc",
    b"x.cpython-311.pyc",
    b".pyc",
    b"x.pyc.123",
    b".pyc.1",
    b"x.pyc.12a",
    b"x.pyc.",
    b"x.pyc.1.2",
    b"x.pyc.1.pyc.2",
    b"x.pyc.\xd9\xa3",
    b"x.pyc\n",
    b"x\ny.pyc",
    b"\xff.pyc",
    b"x.PYC",
    b"x.pyo",
    b"pyc",
    b"script.js",
    b"__pycache__",
    b".DS_Store",
    b".DS_Store.pyc",
    b"a.swp",
    b"b~",
    b"x.pyc~",
    b"back\\slash.pyc",
    b"-n.pyc",
    b" .js",
    b".svn",
    b"__openerp__.py",
];

/// Files with one byte each, which is no bytecode; one that another has taken the place of is left away.
fn place(module: &Path, paths: &[(Vec<&[u8]>, &[u8])]) {
    std::fs::create_dir_all(module).unwrap();
    std::fs::write(module.join("__manifest__.py"), "{}\n").unwrap();
    for (at, (directories, name)) in paths.iter().enumerate() {
        let dir = directories.iter().fold(module.to_owned(), |dir, name| dir.join(OsStr::from_bytes(name)));
        let path = dir.join(OsStr::from_bytes(name));
        if std::fs::create_dir_all(dir).is_ok() && !path.exists() {
            std::fs::write(path, at.to_string()).unwrap();
        }
    }
}

fn by_command(module: &Path) -> String {
    let command = format!("cd -- \"$1\" && {COMMAND}");
    let output =
        Command::new("sh").env("LC_ALL", "C").args(["-c", &command, "sh"]).arg(module).output().unwrap();
    assert!(output.status == ExitStatus::from_raw(0) && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_command_of_the_contract_gives_the_digest(
        paths in prop::collection::vec(
            (prop::collection::vec(prop::sample::select(DIRECTORIES.to_vec()), 0..4), prop::sample::select(NAMES.to_vec())),
            1..24,
        ),
    ) {
        let dir = TempDir::new().unwrap();
        let module = dir.path().join("root/module");
        place(&module, &paths);
        let modules = observe(dir.path());
        prop_assert_eq!(modules[&b"root/module"[..]].digest().to_string(), by_command(&module), "{:?}", paths);
    }
}
