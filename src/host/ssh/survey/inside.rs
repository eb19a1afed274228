//! The questions about what a container of a server has: the same records, for paths of the container.

use super::budget::Budget;
use super::mounted::MOUNTS;
use super::pattern::quoted;
use super::script::{FUNCTIONS, Survey, bare, members};
use crate::control::nonce;
use crate::host::mounts::HeldPaths;

const INSIDE: &str = include_str!("inside.sh");

impl Survey {
    /// Asks for what a container has at these paths, as long as its first process is the one that began at `start`. `most`
    /// is how many files the server may tell of, if that was said.
    pub(in crate::host::ssh) fn inside(pid: u32, start: &[u8], paths: &HeldPaths, most: Option<u64>) -> Self {
        let root = format!("/proc/{pid}/root");
        let of = |function: &'static str, path: &[u8]| {
            let call = format!("call {function} {root} ").into_bytes();
            (!path.contains(&0)).then(|| [call.as_slice(), &quoted(path), b"\n"].concat())
        };
        let files = paths.files.iter().filter_map(|path| of("held_file", path));
        let modules = paths.modules.keys().filter_map(|path| of("held_module", path));
        let roots = paths.roots.iter().filter_map(|path| of("held_root", path));
        let trees = paths.trees.iter().filter_map(|path| of("held_tree", path));
        let calls: Vec<Vec<u8>> = files.chain(modules).chain(roots).chain(trees).collect();
        let mut named = Vec::new();
        members(&mut named, "is_named_file", &paths.files);
        members(&mut named, "is_named_module", &paths.modules.keys().cloned().collect());
        let nonce = nonce();
        let is_it = [format!("is_process {pid} ").as_bytes(), &quoted(start)].concat();
        let ended = b" || { printf 'Eits process ended\\000'; return; }\n".as_slice();
        let functions = [bare(FUNCTIONS), bare(MOUNTS), bare(INSIDE)].concat();
        let main = format!("}}\nmain {nonce} </dev/null\n");
        let script = [
            functions.as_bytes(),
            &named,
            b"survey() {\nknow_mounts\n",
            &is_it,
            ended,
            &calls.concat(),
            &is_it,
            ended,
            main.as_bytes(),
        ];
        let known = paths.files.len() + paths.modules.values().sum::<usize>();
        Self::written_as(script.concat(), nonce, calls.len(), Budget::of(known as u64, most))
    }
}
