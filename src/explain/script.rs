//! Shell scripts that write files beside their place and rename them, and the words that they are made of.

use super::situation::Above;
use crate::model::{Digest, joined, quoted, quoted_name};

/// A function that prints the SHA-256 of what it reads, by whatever program is there.
const SUM: &str =
    "h() { (sha256sum || shasum -a 256 || openssl dgst -sha256) 2>/dev/null | sed \"s/.*= //; s/ .*//\"; }";

/// Said of content that is not what it must be.
const CUT_SHORT: &str = "what arrived is not the content of the baseline";

/// A script as a word of a command line for whatever shell.
pub(super) fn shell(script: &str) -> String {
    format!("sh -ec {}", quoted(script))
}

/// Paths, each with a space before it.
pub(super) fn quoted_paths<'a>(paths: impl IntoIterator<Item = &'a [u8]>) -> String {
    paths.into_iter().map(|path| format!(" {}", quoted_name(path))).collect()
}

/// Ends the script where one of these is a link that is not the project's.
pub(super) fn links(above: &[Above]) -> String {
    let plain = above.iter().filter(|dir| dir.link.is_none()).map(|dir| dir.path.as_slice());
    let plain = quoted_paths(plain);
    let known = above.iter().filter_map(|dir| {
        let (path, text) = (quoted_name(&dir.path), quoted_name(dir.link.as_ref()?));
        Some(format!(
            "d={path}; if [ -L \"$d\" ] && [ \"$(readlink -- \"$d\")\" != {text} ]; then echo \"$d leads elsewhere\" >&2; exit 1; fi; "
        ))
    });
    let known: String = known.collect();
    if plain.is_empty() { known } else { format!("{}{known}", no_links(&plain)) }
}

fn no_links(paths: &str) -> String {
    format!("for d in{paths}; do if [ -L \"$d\" ]; then echo \"$d is a link\" >&2; exit 1; fi; done; ")
}

/// The directories of a subject above some of its files.
fn above<'a>(files: impl Iterator<Item = &'a [u8]>) -> Vec<&'a [u8]> {
    let cuts = files
        .flat_map(|file| file.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(cut, _)| &file[..cut]));
    let mut all: Vec<&[u8]> = cuts.collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The script that writes its input to a file, beside which it is made ready: a link is not followed, another name of
/// the same file keeps its content, owner and mode stay, and nothing but the baseline's content takes its place.
pub(super) fn one_file(at: &[u8], (inner, digest): &(&[u8], Option<Digest>), is_executable: bool) -> String {
    let dirs: Vec<Vec<u8>> = above([*inner].into_iter()).into_iter().map(|dir| joined(at, dir)).collect();
    let mode = if is_executable { "755" } else { "644" };
    let digest = digest.map(|digest| digest.to_string()).unwrap_or_default();
    format!(
        "f={}; {}mkdir -p -- \"$(dirname -- \"$f\")\"; n=$(mktemp \"$f.XXXXXX\"); trap 'rm -f -- \"$n\"' EXIT; chmod {mode} \"$n\"; \
         if [ -e \"$f\" ]; then cp -p -- \"$f\" \"$n\"; fi; cat > \"$n\"; {SUM}; \
         if [ \"$(h < \"$n\")\" != {digest} ]; then echo \"$f: {CUT_SHORT}\" >&2; exit 1; fi; mv -f -- \"$n\" \"$f\"",
        quoted_name(&joined(at, inner)),
        no_links(&format!(" \"$f\"{}", quoted_paths(dirs.iter().map(Vec::as_slice)))),
    )
}

/// The script that does the same with a tar archive of files of the module at `at`; none of them takes its place before
/// all have arrived.
pub(super) fn many_files(at: &[u8], files: &[(&[u8], Option<Digest>)]) -> String {
    let at = quoted_name(at);
    let dirs = quoted_paths(above(files.iter().map(|(path, _)| *path)));
    let digests: String =
        files.iter().map(|(_, digest)| digest.map(|it| format!("{it}\n")).unwrap_or_default()).collect();
    let digest = Digest::of(digests.as_bytes());
    let files = quoted_paths(files.iter().map(|(path, _)| *path));
    let make = if dirs.is_empty() { String::new() } else { format!("mkdir -p --{dirs}; ") };
    let guard = no_links(&format!("{dirs}{files}"));
    format!(
        "mkdir -p -- {at}; cd -- {at}; t=$(mktemp -d); n=; trap 'rm -rf -- \"$t\" \"$n\"' EXIT; tar -C \"$t\" -xof -; {guard}{SUM}; \
         if [ \"$(for f in{files}; do h < \"$t/$f\"; done | h)\" != {digest} ]; then echo \"{CUT_SHORT}\" >&2; exit 1; fi; {make}\
         for f in{files}; do n=$(mktemp \"./$f.XXXXXX\"); if [ -e \"$f\" ]; then cp -p -- \"$f\" \"$n\"; \
         cat -- \"$t/$f\" > \"$n\"; else cp -p -- \"$t/$f\" \"$n\"; fi; mv -f -- \"$n\" \"$f\"; done"
    )
}
