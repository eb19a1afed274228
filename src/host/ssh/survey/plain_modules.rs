//! Modules that find has listed on the server, many at once, with the digests of all their files.

use super::field::digest_line;
use super::module::SurveyedModule;
use crate::model::Digest;

/// Modules by their paths.
type Modules = Vec<(Vec<u8>, SurveyedModule)>;

/// Reads a list of lines (kind, depth, path) of the modules that were announced (path, path without links), and the
/// digests of the files in the same order; `None` where the two do not fit.
pub(super) fn read(announced: Vec<(Vec<u8>, Vec<u8>)>, list: &[u8], digests: &[u8]) -> Option<Modules> {
    let mut announced = announced.into_iter();
    let mut digests = digests.split(|&b| b == b'\n');
    let mut modules = Vec::new();
    let mut prefix = Vec::new();
    for line in list.split(|&b| b == b'\n') {
        let entry = Entry::parse(line)?;
        if entry.is_module {
            let (path, real) = announced.next().filter(|(_, real)| real == entry.path)?;
            prefix = [&real[..], b"/"].concat();
            modules.push((path, SurveyedModule::default()));
            continue;
        }
        let name = entry.path.strip_prefix(&prefix[..])?;
        let module: &mut SurveyedModule = &mut modules.last_mut()?.1;
        if entry.is_file {
            module.file(name, Ok(next_digest(&mut digests, entry.path)?))?;
        } else {
            module.take(b'e', &[name.to_vec()])?;
        }
    }
    let is_whole = announced.next().is_none() && digests.eq([b""]);
    is_whole.then_some(modules)
}

fn next_digest<'a>(lines: &mut impl Iterator<Item = &'a [u8]>, path: &[u8]) -> Option<Digest> {
    let (digest, hashed) = digest_line(lines.next()?)?;
    (hashed == path).then_some(digest)
}

/// A line of the list.
struct Entry<'a> {
    is_file: bool,
    is_module: bool,
    path: &'a [u8],
}

impl<'a> Entry<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let (kind, rest) = line.split_first()?;
        let blank = rest.iter().position(|&b| b == b' ')?;
        let (is_file, is_module) = (*kind == b'f', &rest[..blank] == b"0");
        let is_known = matches!(kind, b'd' | b'f') && !(is_file && is_module);
        is_known.then_some(Self { is_file, is_module, path: &rest[blank + 1..] })
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

    #[test]
    fn a_module_within_another_is_told_apart() {
        let told = digests(&["/r/a/m/x.py", "/r/a/m/x.py"]);
        let modules = read(announced(), LIST.as_bytes(), told.as_bytes()).unwrap();
        let paths: Vec<_> = modules.iter().map(|(path, module)| (&path[..], module.files())).collect();
        assert_eq!(paths, [(&b"/l/a"[..], 1), (&b"/r/a/m"[..], 1)]);
    }

    #[test]
    fn a_list_without_all_of_its_digests_is_none() {
        let x = "/r/a/m/x.py";
        for paths in [&[][..], &[x], &[x, "/r/a/m/y.py"], &[x, x, x]] {
            assert!(read(announced(), LIST.as_bytes(), digests(paths).as_bytes()).is_none(), "{paths:?}");
        }
        let told = digests(&[x, x]);
        for list in ["", "d0 /r/a", "d0 /r/b\nd0 /r/a/m", "f0 /r/a", "d0 /r/a\nd1 /r/c", &LIST[8..], "!/r/a"]
        {
            assert!(read(announced(), list.as_bytes(), told.as_bytes()).is_none(), "{list}");
        }
        assert!(read(announced()[..1].to_vec(), LIST.as_bytes(), told.as_bytes()).is_none());
    }
}
