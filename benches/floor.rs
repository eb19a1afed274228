//! The least that an audit can cost: opens, reads and hashes every regular file below a directory, nothing else.
//!
//! `floor DIR [THREADS]` prints how many files and bytes it read. Without arguments it reads its own
//! sources, so that `cargo bench` and `cargo test --benches` show that it works.

use std::cell::RefCell;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

/// The read buffer of each thread: as large as driftlock's own.
const BUFFER: usize = 128 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.first() {
        Some(flag) if flag == "--list" => Ok(()),
        Some(dir) if !dir.starts_with('-') => run(Path::new(dir), args.get(1).map(String::as_str)),
        _ => run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("benches"), None),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "floor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(dir: &Path, threads: Option<&str>) -> io::Result<()> {
    let threads = threads.map_or(Ok(0), str::parse).map_err(io::Error::other)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(io::Error::other)?;
    let (files, bytes) = pool.install(|| below(dir))?;
    writeln!(io::stdout(), "{files} files, {bytes} bytes")
}

/// Files and bytes below `dir`, every one of them hashed. A directory's files are hashed as soon as it is
/// listed: on a warm cache that is faster than a list of all files first.
fn below(dir: &Path) -> io::Result<(u64, u64)> {
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
    let deeper = directories.par_iter().map(|directory| below(directory));
    let here = files.par_iter().with_min_len(16).map(|file| Ok((1, hash(file)?)));
    deeper.chain(here).try_reduce(|| (0, 0), add)
}

/// Hashes one file; its size.
fn hash(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut total = 0;
    SCRATCH.with_borrow_mut(|buffer| {
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
