//! Generates an addon root for benchmarks: the same arguments give the same bytes.
//!
//! `tree DIR [FILES] [SIZE]` fills DIR, which must not exist. FILES is 10,000 by default; sizes, files per
//! module and directories are then spread as in real Odoo addon modules. With SIZE every file has that many
//! bytes and every module 50 files: `tree DIR 1000000 1024` gives 20,000 modules. Without arguments a tiny
//! tree is generated twice and compared, so that `cargo bench` and `cargo test --benches` show that it works.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use rayon::prelude::*;

/// File sizes in bytes at these shares of all files, as measured on 317 real modules.
const SIZES: [(f64, f64); 6] =
    [(0.0, 1.0), (0.1, 100.0), (0.5, 1_800.0), (0.9, 16_000.0), (0.99, 319_000.0), (1.0, 4_194_304.0)];
/// How rare sizes near the largest are: the mean is then that of the real modules, 17 KB.
const STEEPNESS: i32 = 10;
/// Files per module at these shares of all modules, from the same modules.
const COUNTS: [(f64, f64); 5] = [(0.0, 3.0), (0.1, 14.0), (0.5, 23.0), (0.9, 45.0), (1.0, 209.0)];
/// Files per module where every file has the same size.
const EVEN_COUNT: usize = 50;
/// Where files beyond the first two lie, in turn.
const PLACES: [(&str, &str); 16] = [
    ("models", "py"),
    ("views", "xml"),
    ("i18n", "po"),
    ("static/description", "png"),
    ("models", "py"),
    ("i18n", "po"),
    ("static/src/js", "js"),
    ("tests", "py"),
    ("views", "xml"),
    ("static/src/scss", "scss"),
    ("data", "xml"),
    ("i18n", "po"),
    ("wizards", "py"),
    ("readme", "rst"),
    ("security", "csv"),
    ("static/src/xml", "xml"),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.first() {
        Some(flag) if flag == "--list" => Ok(()),
        Some(dir) if !dir.starts_with('-') => from_args(dir, &args[1..]),
        _ => self_run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "tree: {error}");
            ExitCode::FAILURE
        }
    }
}

fn from_args(dir: &str, rest: &[String]) -> io::Result<()> {
    let number =
        |n: usize| rest.get(n).map(|text| text.parse::<usize>().map_err(io::Error::other)).transpose();
    let modules = plan(number(0)?.unwrap_or(10_000), number(1)?);
    generate(Path::new(dir), &modules)?;
    let sizes = || modules.iter().flatten();
    writeln!(
        io::stdout(),
        "{} modules, {} files, {} bytes",
        modules.len(),
        sizes().count(),
        sizes().sum::<usize>()
    )
}

fn self_run() -> io::Result<()> {
    let base = std::env::temp_dir().join(format!("driftlock-tree-{}", std::process::id()));
    let modules = plan(120, None);
    let made =
        ["a", "b"].map(|name| generate(&base.join(name), &modules).and_then(|()| read(&base.join(name))));
    fs::remove_dir_all(&base)?;
    let [first, second] = made;
    let (first, second) = (first?, second?);
    if first.len() == 120 && first == second {
        writeln!(io::stdout(), "{} files, generated twice, are equal", first.len())
    } else {
        Err(io::Error::other("one call gave two trees"))
    }
}

/// All files below `dir` by relative path.
fn read(dir: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            all.extend(read(&path)?.into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else {
            all.insert(name, fs::read(&path)?);
        }
    }
    Ok(all)
}

/// The sizes of the files of each module.
fn plan(files: usize, size: Option<usize>) -> Vec<Vec<usize>> {
    let mut random = Random::new(0);
    let mut sizes = match size {
        Some(size) => vec![size; files],
        None => shuffled(spread(files, &SIZES, STEEPNESS), &mut random),
    };
    let mut counts = shuffled(spread(files.div_ceil(31), &COUNTS, 1), &mut random).into_iter().cycle();
    let mut modules = Vec::new();
    while !sizes.is_empty() {
        let count = if size.is_some() { EVEN_COUNT } else { counts.next().unwrap_or(EVEN_COUNT) };
        modules.push(sizes.split_off(sizes.len().saturating_sub(count)));
    }
    modules
}

/// `n` values that lie evenly on a distribution given by quantiles, between which logarithms run straight;
/// in the last part they bend upwards by `steepness`.
fn spread(n: usize, quantiles: &[(f64, f64)], steepness: i32) -> Vec<usize> {
    (0..n).map(|i| value_at((as_float(i) + 0.5) / as_float(n), quantiles, steepness)).collect()
}

fn value_at(share: f64, quantiles: &[(f64, f64)], steepness: i32) -> usize {
    let upper = quantiles.iter().position(|&(at, _)| share < at).unwrap_or(quantiles.len() - 1).max(1);
    let ((from, low), (to, high)) = (quantiles[upper - 1], quantiles[upper]);
    let along = (share - from) / (to - from);
    let bent = if upper == quantiles.len() - 1 { along.powi(steepness) } else { along };
    as_count(low * (high / low).powf(bent))
}

#[expect(clippy::cast_precision_loss, reason = "counts of files are far below 2^52")]
fn as_float(n: usize) -> f64 {
    n as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes are small and positive")]
fn as_count(value: f64) -> usize {
    value.round() as usize
}

fn shuffled(mut values: Vec<usize>, random: &mut Random) -> Vec<usize> {
    for i in (1..values.len()).rev() {
        values.swap(i, random.below(i + 1));
    }
    values
}

fn generate(root: &Path, modules: &[Vec<usize>]) -> io::Result<()> {
    if root.exists() {
        return Err(io::Error::other(format!("{} is there already", root.display())));
    }
    fs::create_dir_all(root)?;
    modules.par_iter().enumerate().try_for_each(|(number, sizes)| module(root, number, sizes))
}

/// Writes one module.
fn module(root: &Path, number: usize, sizes: &[usize]) -> io::Result<()> {
    let mut random = Random::new(number as u64 + 1);
    let dir = root.join(format!("module_{number:05}"));
    fs::create_dir(&dir)?;
    for (index, size) in sizes.iter().enumerate() {
        let name = name(index);
        let path = dir.join(&name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, random.text(*size))?;
    }
    Ok(())
}

/// The path of a module's file.
fn name(index: usize) -> String {
    match index {
        0 => "__manifest__.py".to_owned(),
        1 => "__init__.py".to_owned(),
        n => {
            let (dir, ending) = PLACES[(n - 2) % PLACES.len()];
            format!("{dir}/part_{n:03}.{ending}")
        }
    }
}

/// `SplitMix64`: small, fast, and good enough for contents that nobody compresses.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let drawn = self.next() % bound as u64;
        usize::try_from(drawn).unwrap_or(0)
    }

    /// Lines of letters.
    fn text(&mut self, size: usize) -> Vec<u8> {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz_ .()\n";
        let mut text = Vec::with_capacity(size + 8);
        while text.len() < size {
            text.extend(self.next().to_le_bytes().map(|byte| LETTERS[usize::from(byte % 32)]));
        }
        text.truncate(size);
        text
    }
}
