//! How fast this machine hashes what is in memory already: what no reading of files can exceed.
//!
//! `rate [THREADS] [MB]` hashes MB (1,024 by default) in pieces of 128 KB on one thread, then the same on each of
//! THREADS at once (all cores by default), and prints bytes a second as `ONE ALL`. Without arguments, as `cargo
//! bench` calls it, 8 MB.

use std::hint::black_box;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

/// What is hashed at a time: it stays in the core's own cache, as a read buffer does.
const PIECE: usize = 128 * 1024;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.first() {
        Some(flag) if flag == "--list" => Ok(()),
        Some(threads) if !threads.starts_with('-') => from_args(threads, args.get(1).map(String::as_str)),
        _ => run(2, 8),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "rate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn from_args(threads: &str, megabytes: Option<&str>) -> io::Result<()> {
    let number = |text: &str| text.parse::<u32>().map_err(io::Error::other);
    run(number(threads)?, megabytes.map_or(Ok(1024), number)?)
}

fn run(threads: u32, megabytes: u32) -> io::Result<()> {
    let bytes = f64::from(megabytes) * f64::from(1 << 20);
    let pieces = megabytes * 8;
    let alone = hashed(pieces);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(move || hashed(pieces));
        }
    });
    let together = start.elapsed();
    let rate = |bytes: f64, took: Duration| bytes / took.as_secs_f64();
    writeln!(io::stdout(), "{:.0} {:.0}", rate(bytes, alone), rate(bytes * f64::from(threads), together))
}

/// How long one thread takes.
fn hashed(pieces: u32) -> Duration {
    let piece = vec![0x5a; PIECE];
    let start = Instant::now();
    let mut hasher = Sha256::new();
    for _ in 0..pieces {
        hasher.update(black_box(&piece));
    }
    black_box(hasher.finalize());
    start.elapsed()
}
