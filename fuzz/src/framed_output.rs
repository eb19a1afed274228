//! What a server answers over SSH, between its marks: the state of its files, and the bytes of one of them.

use std::path::Path;

use driftlock::host::ssh::survey::{self, Budget, FileRequest, GivenFile, Reader};
use driftlock::host::{
    Answer, FileQuery, FilesAnswer, Layout, MANIFESTS, ModuleQuery, ModulesAnswer, Query, Scope, Seen,
    SeenModule, Select, Watch,
};
use driftlock::model::{Digest, Glob, Leaf};

/// The word in the marks around the output.
const NONCE: &str = "n";
/// How many calls the script made.
const CALLS: usize = 3;
/// How much may be held of what it told: a KiB for each file that is believed.
const HELD: u64 = 1 << 20;
/// Where the tree lies on the server.
const ROOT: &str = "/r";

/// The most bytes of a file that are asked for.
const LIMIT: usize = 8;
/// The file and the module that are asked for by name.
const FILE: &[u8] = b"s/a.yml";
const MODULE: &[u8] = b"m/x";

/// The first byte says in which pieces the output comes, and to which question. However it comes, it gives the same;
/// without the mark at its end it gives nothing; and what it gives is what the server told.
pub fn framed_output(bytes: &[u8]) {
    let Some((&how, output)) = bytes.split_first() else { return };
    let size = usize::from(how >> 1) + 1;
    if how & 1 == 1 {
        of_files(output, size);
    } else {
        of_a_file(output, size);
    }
}

fn of_files(output: &[u8], size: usize) {
    let queries = queries();
    let whole = answers(std::iter::once(output), &queries);
    let pieces = answers(output.chunks(size), &queries);
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"), "in pieces of {size} it is another answer");
    let Ok(given) = whole else { return };
    let end = shortest(output, |output| answers(std::iter::once(output), &queries).is_ok());
    let mark = format!("\0Z{NONCE} {CALLS}\0");
    assert!(output[..end].ends_with(mark.as_bytes()), "an answer of what was cut short");
    for answer in given {
        match answer {
            Answer::Files(answer) => files(&answer, output),
            Answer::Modules(answer) => modules(&answer, output),
            Answer::Containers(_) | Answer::Ports(_) | Answer::System(_) => panic!("nobody asked for that"),
        }
    }
}

fn of_a_file(output: &[u8], size: usize) {
    let whole = give(std::iter::once(output), LIMIT);
    assert_eq!(whole, give(output.chunks(size), LIMIT), "in pieces of {size} it is another answer");
    let Ok(gave) = whole else { return };
    let end = shortest(output, |output| give(std::iter::once(output), LIMIT).is_ok());
    let mark = format!("\0Z{NONCE} 1\0");
    assert!(output[..end].ends_with(mark.as_bytes()), "an answer of what was cut short");
    match gave {
        GivenFile::Bytes(bytes) => {
            assert!(bytes.len() <= LIMIT, "more bytes than were asked for");
            assert!(is_told(output, &Digest::of(&bytes)), "bytes of another digest");
        }
        GivenFile::TooLarge(size) => assert!(size > LIMIT as u64, "{size} bytes are not too many"),
        GivenFile::NoFile | GivenFile::Changed => {}
    }
}

/// The length of the shortest beginning of an output that gives an answer; every longer one does.
fn shortest(output: &[u8], answers: impl Fn(&[u8]) -> bool) -> usize {
    let (mut none, mut some) = (0, output.len());
    while none < some {
        let middle = usize::midpoint(none, some);
        if answers(&output[..middle]) { some = middle } else { none = middle + 1 }
    }
    some
}

fn queries() -> [Query; 2] {
    let patterns = |texts: [&str; 1]| {
        Select::Patterns(texts.map(|text| Glob::new(text).unwrap_or_else(|_| panic!())).into())
    };
    let scope = Scope::default();
    [
        Query::Files(FileQuery {
            select: patterns(["s/*.yml"]),
            exclude: Vec::new(),
            named: vec![FILE.to_vec()],
            scope: scope.clone(),
            beside: false,
        }),
        Query::Modules(ModuleQuery {
            select: patterns(["m"]),
            exclude: Vec::new(),
            named: vec![MODULE.to_vec()],
            known: std::collections::BTreeMap::new(),
            scope,
            all_bytecode: false,
        }),
    ]
}

fn files(answer: &FilesAnswer, output: &[u8]) {
    assert!(answer.files.contains_key(FILE), "nothing is said of what was asked for by name");
    for (path, seen) in &answer.files {
        let is_of_it = path.starts_with(b"s/") || (path == b"s" && matches!(seen, Seen::Unreadable(_)));
        assert!(is_of_it, "nobody asked for {path:?}");
        if let Seen::File(digest, _) = seen {
            assert!(is_told(output, digest), "a digest that the server never told");
        }
    }
}

fn modules(answer: &ModulesAnswer, output: &[u8]) {
    assert!(answer.modules.contains_key(MODULE), "nothing is said of what was asked for by name");
    for (place, seen) in &answer.modules {
        let is_of_it =
            place.starts_with(b"m/") || (place == b"m" && matches!(seen, SeenModule::Unreadable(_)));
        assert!(is_of_it, "nobody asked for {place:?}");
        if let SeenModule::Whole(tree) = seen {
            // One that was asked for by name is told as it is: that its manifest is gone is what differs.
            let is_module = tree.iter().any(|(path, _)| MANIFESTS.contains(&path));
            assert!(is_module || place == MODULE, "a module without a manifest");
            for (_, leaf) in tree.iter() {
                let (Leaf::File(digest) | Leaf::Link(digest)) = leaf;
                assert!(is_told(output, &digest), "a digest that the server never told");
            }
        }
    }
}

/// Whether an output says a digest anywhere.
fn is_told(output: &[u8], digest: &Digest) -> bool {
    output.windows(64).any(|window| window == digest.hex())
}

/// What is answered from a script's output that comes in pieces.
fn answers<'a>(pieces: impl Iterator<Item = &'a [u8]>, queries: &[Query]) -> Result<Vec<Answer>, String> {
    let watch = Watch::default();
    let mut reader = Reader::new(NONCE, CALLS, Budget::new(&[], Some(HELD >> 10)));
    for piece in pieces {
        let _ = reader.feed(piece, &watch);
        assert!(reader.weight() as u64 <= 4 * HELD, "{} bytes are held", reader.weight());
    }
    let snapshot = reader.finish().map_err(|error| error.to_string())?;
    let layout = Layout::of_root(Path::new(ROOT));
    let answers = queries.iter().map(|query| survey::answer(&layout, query, &snapshot, &watch));
    answers.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// What is given of a file of at most `limit` bytes.
fn give<'a>(pieces: impl Iterator<Item = &'a [u8]>, limit: usize) -> Result<GivenFile, String> {
    let mut request = FileRequest::awaited(NONCE, limit);
    for piece in pieces {
        request.feed(piece).map_err(|error| error.to_string())?;
    }
    request.finish().map_err(|error| error.to_string())
}
