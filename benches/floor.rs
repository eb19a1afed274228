//! The least that an audit can cost: opens, reads and hashes every regular file below a directory, nothing else.
//!
//! `floor [OPTIONS] DIR [THREADS]` prints how many files and bytes it met. Without a directory it reads its own
//! sources, so that `cargo bench` and `cargo test --benches` show that it works.
//!
//! - `--stat`: looks at every file's size and times, and reads none: the least that a walk can cost.
//! - `--buffer KB`: the read buffer of each thread; 128.
//! - `--advise HINT`: what the kernel is told of each file: `sequential`, `willneed` or `random`.

use std::cell::RefCell;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rayon::prelude::*;
use rustix::fs::Advice;
use sha2::{Digest as _, Sha256};

/// The read buffer of each thread: as large as driftlock's own.
const BUFFER: usize = 128 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What is done with every file.
#[derive(Clone, Copy)]
struct Work {
    reads: bool,
    buffer: usize,
    advice: Option<Advice>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match from_args(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "floor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn from_args(args: &[String]) -> io::Result<()> {
    let mut work = Work { reads: true, buffer: BUFFER, advice: None };
    let mut places: Vec<&str> = Vec::new();
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        match arg {
            "--list" => return Ok(()),
            "--stat" => work.reads = false,
            "--buffer" => work.buffer = number(args.next())? * 1024,
            "--advise" => work.advice = Some(advice(args.next())?),
            // What `cargo bench` and `cargo test` add.
            flag if flag.starts_with('-') => {}
            place => places.push(place),
        }
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
    let dir = places.first().map_or(own, PathBuf::from);
    let threads = places.get(1).map_or(Ok(0), |text| number(Some(text)))?;
    run(&dir, threads, work)
}

fn number(text: Option<&str>) -> io::Result<usize> {
    text.unwrap_or_default().parse().map_err(io::Error::other)
}

fn advice(name: Option<&str>) -> io::Result<Advice> {
    match name {
        Some("sequential") => Ok(Advice::Sequential),
        Some("willneed") => Ok(Advice::WillNeed),
        Some("random") => Ok(Advice::Random),
        _ => Err(io::Error::other("--advise takes sequential, willneed or random")),
    }
}

fn run(dir: &Path, threads: usize, work: Work) -> io::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(io::Error::other)?;
    let (files, bytes) = pool.install(|| below(dir, work))?;
    writeln!(io::stdout(), "{files} files, {bytes} bytes")
}

/// Files and bytes below `dir`, every one of them looked at. A directory's files are read as soon as it is
/// listed: on a warm cache that is faster than a list of all files first.
fn below(dir: &Path, work: Work) -> io::Result<(u64, u64)> {
    let (mut files, mut directories): (Vec<PathBuf>, Vec<PathBuf>) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            directories.push(entry.path());
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    let add = |a: (u64, u64), b: (u64, u64)| Ok((a.0 + b.0, a.1 + b.1));
    let look = |file: &PathBuf| if work.reads { hash(file, work) } else { size(file) };
    let deeper = directories.par_iter().map(|directory| below(directory, work));
    // Large files are few, and one at a time; of small ones a thread takes some.
    let here = files.par_iter().with_min_len(if files.len() < 16 { 1 } else { 16 });
    deeper.chain(here.map(|file| Ok((1, look(file)?)))).try_reduce(|| (0, 0), add)
}

/// The size of one file, with everything else that the file system tells of it.
fn size(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::lstat(path)?;
    black_box(&stat);
    u64::try_from(stat.st_size).map_err(io::Error::other)
}

/// Hashes one file; its size.
fn hash(path: &Path, work: Work) -> io::Result<u64> {
    let mut file = File::open(path)?;
    if let Some(advice) = work.advice {
        rustix::fs::fadvise(&file, 0, None, advice)?;
    }
    let mut hasher = Sha256::new();
    let mut total = 0;
    SCRATCH.with_borrow_mut(|buffer| {
        buffer.resize(work.buffer, 0);
        loop {
            let n = file.read(buffer)?;
            hasher.update(&buffer[..n]);
            total += n as u64;
            // A regular file gives less than asked only at its end.
            if n < buffer.len() {
                break;
            }
        }
        io::Result::Ok(())
    })?;
    black_box(hasher.finalize());
    Ok(total)
}
