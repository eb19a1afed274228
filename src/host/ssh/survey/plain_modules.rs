//! Modules that find has listed on the server, many at once, with the digests of all their files.

use super::field::digest_line;
use super::module::SurveyedModule;
use crate::host::StatCache;
use crate::host::stat_cache::stat_words;
use crate::model::Digest;

/// Modules by their paths.
type Modules = Vec<(Vec<u8>, SurveyedModule)>;

/// Where the digests of listed files come from.
pub(super) enum FileDigests<'a> {
    /// A line for each, as programs print them.
    Told(&'a [u8]),
    /// What was read of files of the same stat.
    Remembered(&'a StatCache),
}

/// What a list tells.
#[derive(Debug, Default)]
pub(super) struct PlainModules {
    /// Modules that are known as a whole.
    pub(super) modules: Modules,
    /// Paths of those of which some file is not remembered.
    pub(super) moved: Vec<Vec<u8>>,
}

/// Reads a list of lines (kind, depth, stats where those were asked for, path) of the modules that were announced (path, path
/// without links), and the digests of the files in the same order; `None` where the two do not fit. `heard` is told of each file
/// whose digest was.
pub(super) fn read(
    announced: Vec<(Vec<u8>, Vec<u8>)>,
    list: &[u8],
    digests: &FileDigests<'_>,
    heard: &mut dyn FnMut(&[u8], Digest),
) -> Option<PlainModules> {
    let mut announced = announced.into_iter();
    let lines: &[u8] = if let FileDigests::Told(lines) = digests { lines } else { b"" };
    let mut lines = lines.split(|&b| b == b'\n');
    let mut modules = Vec::new();
    let mut prefix = Vec::new();
    // For each module the files that are trusted, unless one is not.
    let mut trusted: Vec<Option<Vec<usize>>> = Vec::new();
    for line in list.split(|&b| b == b'\n') {
        let entry = Entry::parse(line)?;
        if entry.is_module {
            let (path, real) = announced.next().filter(|(_, real)| real == entry.path)?;
            prefix = [&real[..], b"/"].concat();
            modules.push((path, SurveyedModule::default()));
            trusted.push(Some(Vec::new()));
            continue;
        }
        let name = entry.path.strip_prefix(&prefix[..])?;
        let module: &mut SurveyedModule = &mut modules.last_mut()?.1;
        if !entry.is_file {
            module.take(b'e', &[name.to_vec()])?;
            continue;
        }
        match digests {
            FileDigests::Told(_) => {
                let digest = next_digest(&mut lines, entry.path)?;
                heard(entry.stats, digest);
                module.file(name, Ok(digest))?;
            }
            FileDigests::Remembered(cache) => {
                let known = stat_words(entry.stats).and_then(|words| cache.known(&words.key));
                let its = trusted.last_mut()?;
                match (known, &mut *its) {
                    (Some((at, digest)), Some(all)) => {
                        module.file(name, Ok(digest))?;
                        all.push(at);
                    }
                    _ => *its = None,
                }
            }
        }
    }
    if announced.next().is_some() || !lines.eq([b""]) {
        return None;
    }
    let mut told = PlainModules::default();
    for ((path, module), trusted) in modules.into_iter().zip(trusted) {
        match (trusted, digests) {
            (None, _) => told.moved.push(path),
            (Some(all), FileDigests::Remembered(cache)) => {
                for at in all {
                    cache.trust(at);
                }
                told.modules.push((path, module));
            }
            (Some(_), FileDigests::Told(_)) => told.modules.push((path, module)),
        }
    }
    Some(told)
}

fn next_digest<'a>(lines: &mut impl Iterator<Item = &'a [u8]>, path: &[u8]) -> Option<Digest> {
    let (digest, hashed) = digest_line(lines.next()?)?;
    (hashed == path).then_some(digest)
}

/// A line of the list.
struct Entry<'a> {
    is_file: bool,
    is_module: bool,
    stats: &'a [u8],
    path: &'a [u8],
}

impl<'a> Entry<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let (kind, rest) = line.split_first()?;
        let blank = rest.iter().position(|&b| b == b' ')?;
        let (word, path) = (&rest[..blank], &rest[blank + 1..]);
        let cut = word.iter().position(|&b| b == b':').unwrap_or(word.len());
        let (is_file, is_module) = (*kind == b'f', &word[..cut] == b"0");
        let is_known = matches!(kind, b'd' | b'f') && !(is_file && is_module);
        let stats = word.get(cut + 1..).unwrap_or_default();
        is_known.then_some(Self { is_file, is_module, stats, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "d0 /r/a\nd1 /r/a/m\nf2 /r/a/m/x.py\nd0 /r/a/m\nf1 /r/a/m/x.py";

    fn announced() -> Vec<(Vec<u8>, Vec<u8>)> {
        vec![(b"/l/a".to_vec(), b"/r/a".to_vec()), (b"/r/a/m".to_vec(), b"/r/a/m".to_vec())]
    }

    fn digests(paths: &[&str]) -> String {
        paths.iter().map(|path| format!("{} *{path}\n", Digest::of(b"x"))).collect()
    }

    fn read_told(announced: Vec<(Vec<u8>, Vec<u8>)>, list: &str, digests: &str) -> Option<Modules> {
        read(announced, list.as_bytes(), &FileDigests::Told(digests.as_bytes()), &mut |_, _| {})
            .map(|told| told.modules)
    }

    #[test]
    fn a_module_within_another_is_told_apart() {
        let told = digests(&["/r/a/m/x.py", "/r/a/m/x.py"]);
        let modules = read_told(announced(), LIST, &told).unwrap();
        let paths: Vec<_> = modules.iter().map(|(path, module)| (&path[..], module.files())).collect();
        assert_eq!(paths, [(&b"/l/a"[..], 1), (&b"/r/a/m"[..], 1)]);
    }

    #[test]
    fn a_list_without_all_of_its_digests_is_none() {
        let x = "/r/a/m/x.py";
        for paths in [&[][..], &[x], &[x, "/r/a/m/y.py"], &[x, x, x]] {
            assert!(read_told(announced(), LIST, &digests(paths)).is_none(), "{paths:?}");
        }
        let told = digests(&[x, x]);
        for list in ["", "d0 /r/a", "d0 /r/b\nd0 /r/a/m", "f0 /r/a", "d0 /r/a\nd1 /r/c", &LIST[8..], "!/r/a"]
        {
            assert!(read_told(announced(), list, &told).is_none(), "{list}");
        }
        assert!(read_told(announced()[..1].to_vec(), LIST, &told).is_none());
    }
}
