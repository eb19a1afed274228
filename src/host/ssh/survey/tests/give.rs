//! The bytes of one file, given by local shells.

use super::hostile::hostile_names;
use super::*;
use crate::host::Content;
use crate::host::ssh::survey::{FileRequest, FilesRequest, GivenFile};
use crate::model::{Obstacle, Reason};

const LIMIT: u64 = 1 << 20;

fn given_by(by: &[&str], path: &Path, limit: u64, programs: &Programs) -> Result<GivenFile, String> {
    let mut request = FileRequest::new(path.as_os_str().as_bytes(), limit);
    let output = run(by, &request.script(), programs);
    for piece in output.chunks(1000) {
        request.feed(piece).map_err(|error| error.to_string())?;
    }
    request.finish().map_err(|error| error.to_string())
}

fn given(by: &[&str], path: &Path) -> GivenFile {
    given_by(by, path, LIMIT, &Programs::Usual).unwrap()
}

#[test]
fn every_shell_gives_every_byte_of_a_file_of_any_name() {
    let project = Project::new();
    for (number, name) in hostile_names().into_iter().enumerate() {
        let content = [b"\0\xff\r\n", &name[..], b"\0"].concat();
        let path = [&name[..], b"/", &name].concat();
        project.file(&path, &content);
        let by = SHELLS[number % SHELLS.len()];
        assert_eq!(given(by, &project.path(&path)), GivenFile::Bytes(content), "{by:?} {}", shown(&name));
    }
    let all: Vec<u8> = (0..=255).cycle().take(700_000).collect();
    for (name, content) in [("empty", &[][..]), ("newlines", b"\n\n\n"), ("nuls", &[0; 5000]), ("all", &all)]
    {
        project.file(name, content);
        for by in SHELLS {
            assert_eq!(given(by, &project.path(name)), GivenFile::Bytes(content.to_vec()), "{by:?} {name}");
        }
    }
}

#[test]
fn one_script_gives_several_files_in_their_order() {
    let project = Project::new();
    let contents = [&b"one"[..], b"", b"\0Z 1\0N\0C3 ", b"0123456789", b"last\n"];
    let names = ["a b", "'", "c\nd", "too long", "-e"];
    for (name, content) in names.iter().zip(contents) {
        project.file(name, content);
    }
    let paths: Vec<_> = names.iter().chain(&["gone"]).map(|name| project.path(name)).collect();
    let limits = [LIMIT, LIMIT, LIMIT, 9, LIMIT, LIMIT];
    let files: Vec<(&[u8], u64)> =
        paths.iter().zip(limits).map(|(path, limit)| (path.as_os_str().as_bytes(), limit)).collect();
    let mut expected: Vec<GivenFile> =
        contents.iter().map(|content| GivenFile::Bytes(content.to_vec())).collect();
    expected[3] = GivenFile::TooLarge(10);
    expected.push(GivenFile::NoFile);
    for by in SHELLS {
        let mut request = FilesRequest::new(&files);
        let output = run(by, &request.script(), &Programs::Usual);
        request.feed(&output).unwrap();
        assert_eq!(request.finish().unwrap().unwrap(), expected, "{by:?}");
        // Cut short, nothing is believed.
        let mut cut = FilesRequest::new(&files);
        cut.feed(&output[..output.len() - 5]).unwrap();
        assert!(cut.finish().is_err());
    }
}

#[test]
fn a_file_is_given_up_to_the_limit() {
    let project = Project::new();
    project.file("x", "0123456789");
    let given = |by: &[&str], limit| given_by(by, &project.path("x"), limit, &Programs::Usual).unwrap();
    for by in SHELLS {
        assert_eq!(given(by, 10), GivenFile::Bytes(b"0123456789".to_vec()));
        assert_eq!(given(by, 9), GivenFile::TooLarge(10));
        assert_eq!(given(by, u64::MAX >> 2), GivenFile::Bytes(b"0123456789".to_vec()));
    }
}

#[test]
fn what_is_no_file_is_not_opened() {
    let project = Project::new();
    project.fifo("fifo");
    project.dir("directory");
    project.link("broken", "nowhere");
    project.link("loop", "loop");
    project.link("to-fifo", "fifo");
    drop(UnixListener::bind(project.path("socket")).unwrap());
    for by in SHELLS {
        for name in ["fifo", "directory", "broken", "loop", "to-fifo", "socket", "gone", "directory/gone"] {
            assert_eq!(given(by, &project.path(name)), GivenFile::NoFile, "{by:?} {name}");
        }
        assert_eq!(given(by, Path::new("/dev/zero")), GivenFile::NoFile, "{by:?}");
    }
    project.file("file", "x");
    project.link("link", "file");
    assert_eq!(given(SHELLS[0], &project.path("link")), GivenFile::Bytes(b"x".to_vec()));
}

#[test]
fn every_program_that_hashes_will_do() {
    let project = Project::new();
    project.file("x", "content");
    for programs in [
        Programs::Only(&["cat", "wc", "ls", "shasum", "perl"]),
        Programs::Only(&["cat", "wc", "ls", "openssl"]),
    ] {
        let given = given_by(SHELLS[0], &project.path("x"), LIMIT, &programs);
        assert_eq!(given.unwrap(), GivenFile::Bytes(b"content".to_vec()));
    }
    let why = given_by(SHELLS[0], &project.path("x"), LIMIT, &Programs::Only(&["cat", "wc"])).unwrap_err();
    assert!(why.contains("install coreutils there"), "{why}");
}

/// Reads an answer that was changed on its way.
fn read(request: FileRequest, answer: &[u8]) -> Result<GivenFile, String> {
    let mut request = request;
    request.feed(answer).map_err(|error| error.to_string())?;
    request.finish().map_err(|error| error.to_string())
}

#[test]
fn an_answer_that_is_cut_or_changed_is_no_content() {
    let project = Project::new();
    project.file("x", "some content\n");
    let output = || {
        let request = FileRequest::new(project.path("x").as_os_str().as_bytes(), LIMIT);
        let output = run(SHELLS[0], &request.script(), &Programs::Usual);
        (request, output)
    };
    let (_, whole) = output();
    for cut in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
        let (request, output) = output();
        let why = read(request, &output[..cut]).unwrap_err();
        assert!(why.contains("cut short") || why.contains("does not begin"), "{cut}: {why}");
    }
    for (from, to, told) in [
        ("some", "same", Ok(GivenFile::Changed)),
        ("some ", "", Ok(GivenFile::Changed)),
        ("\0C13 ", "\0C12 ", Ok(GivenFile::Changed)),
        ("\0C13 ", "\0C ", Err("garbled")),
        ("\0C13 ", "\0Q ", Err("garbled")),
        (" 1\0", " 2\0", Err("cut short")),
    ] {
        let (request, output) = output();
        let text = String::from_utf8(output).unwrap();
        assert!(text.contains(from), "{from:?}");
        let read = read(request, text.replacen(from, to, 1).as_bytes());
        match told {
            Ok(given) => assert_eq!(read, Ok(given), "{from:?}"),
            Err(why) => assert!(read.as_ref().is_err_and(|said| said.contains(why)), "{from:?}: {read:?}"),
        }
    }
    let (request, output) = output();
    let noisy = [b"Welcome!\0\n", &output[..], b"bye\0"].concat();
    assert_eq!(read(request, &noisy), Ok(GivenFile::Bytes(b"some content\n".to_vec())));
    let mut request = FileRequest::new(b"/x", 10);
    let piece = vec![b'x'; 1 << 20];
    assert!((0..10).any(|_| request.feed(&piece).is_err()), "an answer without an end is given up");
}

#[test]
fn rights_are_seen_as_they_are_seen_here() {
    as_user("give::rights");
}

#[test]
#[ignore = "run as an ordinary user by another test"]
fn rights() {
    let project = Project::new();
    project.file("dir/x", "x");
    let host = LocalHost::new(project.layout(), Engine::None("not asked".to_owned()));
    for (path, mode) in [("dir/x", 0o000), ("dir/x", 0o333), ("dir", 0o000), ("dir", 0o444)] {
        let before = std::fs::metadata(project.path(path)).unwrap().permissions();
        project.mode(path, mode);
        let here = host.content(b"dir/x", LIMIT, &Watch::default()).unwrap();
        assert_eq!(
            here,
            Content::Unreadable(Reason::of(Some(Obstacle::NoRights), "permission denied")),
            "{path} {mode:o}"
        );
        for by in SHELLS {
            assert_eq!(
                given(by, &Path::join(&project.root(), "dir/x")),
                GivenFile::NoFile,
                "{by:?} {path} {mode:o}"
            );
        }
        std::fs::set_permissions(project.path(path), before).unwrap();
    }
}
