//! Outputs that are cut short, garbled, or in the midst of noise.

use super::super::{Budget, Reader};
use super::*;

/// What the script writes for a small tree, and the survey that asked.
fn small_output() -> (Project, Survey, Vec<u8>) {
    let project = Project::new();
    project.module("addons/a");
    project.link("addons/a/link", "target");
    project.file("addons/a/odd\n.py", "x");
    project.file("stacks/a/docker-compose.yml", "a");
    let queries = [
        Query::Modules(modules(patterns(&["addons"]))),
        Query::Files(FileQuery { named: list(&[b"gone"]), ..files(patterns(&["stacks/*/*.yml"])) }),
    ];
    let survey = Survey::new(&project.layout(), &queries).unwrap();
    let output = run(SHELLS[0], survey.script(), &Programs::Usual);
    (project, survey, output)
}

/// Reads an output in pieces of one size.
fn read(survey: &Survey, output: &[u8], size: usize) -> Result<Snapshot, String> {
    let mut reader = survey.reader();
    for piece in output.chunks(size) {
        let _ = reader.feed(piece, &Watch::default());
    }
    reader.finish().map_err(|error| error.to_string())
}

#[test]
fn an_output_that_is_cut_short_is_an_error() {
    let (_project, survey, output) = small_output();
    assert!(read(&survey, &output, 7).is_ok());
    for end in 0..output.len() {
        let why = read(&survey, &output[..end], 64).unwrap_err();
        assert!(why.contains("cut short") || why.contains("does not begin"), "{end}: {why}");
    }
}

#[test]
fn noise_around_the_output_does_not_matter() {
    let (_project, survey, output) = small_output();
    let begin = output.iter().skip(1).position(|&b| b == 0).unwrap();
    for noise in [&b"Welcome!\n"[..], b"\0", b"\0\0driftlock", &output[..begin - 1], &vec![b'x'; 100_000]] {
        for size in [1, 10, 1 << 20] {
            let noisy = [noise, &output, noise].concat();
            assert!(read(&survey, &noisy, size).is_ok(), "{}", shown(&noise[..noise.len().min(50)]));
        }
    }
}

#[test]
fn an_output_that_the_script_does_not_write_is_an_error() {
    let (project, survey, output) = small_output();
    let another = Survey::new(&project.layout(), &[Query::Files(files(patterns(&["*"])))]).unwrap();
    assert!(read(&another, &output, 64).unwrap_err().contains("does not begin"));
    let text = String::from_utf8(output).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        read(&survey, text.replacen(from, to, 1).as_bytes(), 64).unwrap_err()
    };
    let (calls, after) = text.rsplit_once(' ').map(|(_, calls)| calls.split_once('\0').unwrap()).unwrap();
    assert_eq!(after, "");
    assert!(changed(&format!(" {calls}\0"), " 1\0").contains("wrong number of results"));
    for (from, to) in [
        ("\0H", "\0H9"),
        ("\0H", "\0Hx"),
        ("\0m\0", "\0"),
        ("\0m\0", "\0m\0m\0"),
        ("\0.\0", "\0.\0.\0.\0.\0.\0.\0.\0.\0"),
        ("  __manifest__.py\n", " __manifest__.py\n"),
        ("  __manifest__.py\n", "  gone/__manifest__.py\n"),
        ("\0emodels\0", "\0e\0"),
        ("\0emodels\0", "\0\0"),
        ("\0emodels\0", "\0~models\0"),
        ("\0h", "\0hx"),
        ("\0t", "\0tx"),
        ("\0F", "\0F/x\0x\0F"),
    ] {
        let why = changed(from, to);
        assert!(why.contains("garbled") || why.contains("wrong number"), "{from:?} {to:?}: {why}");
    }
}

#[test]
fn an_output_without_an_end_is_given_up() {
    let (_project, survey, output) = small_output();
    let begin = output.iter().skip(1).position(|&b| b == 0).unwrap() + 2;
    let mut reader = survey.reader();
    reader.feed(&output[..begin], &Watch::default()).unwrap();
    let piece = vec![b'x'; 1 << 20];
    let why = (0..100).find_map(|_| reader.feed(&piece, &Watch::default()).err());
    assert!(why.unwrap().to_string().contains("no end"));
}

#[test]
fn what_is_held_of_an_output_is_bounded() {
    // Each directory lies in the one before, so that a few bytes name a long path.
    let deeper = b"dabcdefghijklmnopqrstuvwxyz\0L\0\0a\0".repeat(4000);
    let output = [b"\0n begin\0L/r\0\0a\0", &deeper[..]].concat();
    let mut reader = Reader::new("n", 1, Budget::new(&[], Some(1 << 10)));
    let told = output.chunks(100).find_map(|piece| reader.feed(piece, &Watch::default()).err());
    assert!(told.unwrap().to_string().contains("nothing of that is believed"));
    assert!(reader.weight() < 4 << 20, "{} bytes are held", reader.weight());
}

#[test]
fn a_record_is_too_long_however_it_comes() {
    let output = [b"\0n begin\0F/".to_vec(), vec![b'x'; 9 << 20], b"\0g\0Zn 0\0".to_vec()].concat();
    for size in [output.len(), 1 << 20] {
        let mut reader = Reader::new("n", 0, Budget::new(&[], Some(1 << 20)));
        let told = output.chunks(size).find_map(|piece| reader.feed(piece, &Watch::default()).err());
        assert!(told.unwrap().to_string().contains("a record has no end"), "in pieces of {size}");
    }
}
