//! What was read before stands for files whose stats have not moved, and for no others.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Budget, Reader};
use super::*;
use crate::control::clock;
use crate::host::{FullScanReason, ServerCache};

/// How often it is looked whether time has passed.
const TICK: Duration = Duration::from_millis(50);

/// A root of addons with three modules, each with a file in a directory.
fn tree() -> TempDir {
    let root = TempDir::new().unwrap();
    for module in ["a", "b", "c"] {
        let dir = root.path().join("addons").join(module);
        std::fs::create_dir_all(dir.join("models")).unwrap();
        std::fs::write(dir.join("__manifest__.py"), "{}").unwrap();
        std::fs::write(dir.join("models/it's one.py"), module).unwrap();
    }
    root
}

/// Waits until all that was written so far is older than the grain of clocks.
fn settle() {
    let begun = clock::unix();
    while clock::unix() <= begun + 3 {
        std::thread::sleep(TICK);
    }
}

struct Remembering<'a> {
    layout: Layout,
    state: PathBuf,
    by: &'a [&'a str],
}

impl Remembering<'_> {
    fn cache(&self) -> Arc<ServerCache> {
        Arc::new(ServerCache::new(self.state.clone(), b"here".to_vec(), 1_000_000, false))
    }

    /// The answer, which must be that of this machine, and how many files were read and trusted.
    fn look(&self, queries: &[Query], programs: &Programs) -> (u64, u64) {
        let cache = self.cache();
        let (survey, _) = Survey::written(&self.layout, queries, None, usize::MAX).unwrap();
        let survey = survey.remembering(Some(&cache), true);
        let mut snapshot = snapshot(self.by, &survey, programs);
        let moved = snapshot.take_moved();
        if !moved.is_empty() {
            snapshot.join(super::snapshot(self.by, &survey.again(&moved), programs));
        }
        let watch = Watch::default();
        let answers: Vec<String> = queries
            .iter()
            .map(|query| told(&answer(&self.layout, query, &snapshot, &watch).unwrap()))
            .collect();
        assert_eq!(answers, locally(&self.layout, queries), "{:?}", self.by);
        let Some(begun) = cache.begun() else {
            assert_eq!(cache.full_because(), Some(&FullScanReason::Untold));
            return (0, 0);
        };
        begun.keep().unwrap();
        begun.counts()
    }
}

#[test]
fn every_shell_tells_what_has_moved_and_the_rest_is_not_read() {
    let trees: Vec<_> = SHELLS.iter().map(|by| (by, tree())).collect();
    settle();
    for (by, root) in &trees {
        let looking =
            Remembering { layout: Layout::of_root(root.path()), state: root.path().join("state"), by };
        let queries = [Query::Modules(modules(patterns(&["addons"])))];
        // The shell of busybox takes its own find before any other, which tells no stats.
        let is_told = *by != &SHELLS[2];
        let look = || looking.look(&queries, &Programs::Usual);
        let expect = |read: u64, trusted: u64| {
            assert_eq!(look(), if is_told { (read, trusted) } else { (0, 0) }, "{by:?}");
        };
        expect(6, 0);
        expect(0, 6);
        // Of the same size, with its time put back.
        let path = root.path().join("addons/a/models/it's one.py");
        let before = path.metadata().unwrap().modified().unwrap();
        std::fs::write(&path, "x").unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
        expect(2, 4);
        // What is too young to be told apart is read again.
        expect(2, 4);
        // Others under the same names, one more, one less, and a link in a file's place.
        std::fs::rename(root.path().join("addons/b/models"), root.path().join("addons/b/other")).unwrap();
        std::fs::write(root.path().join("addons/c/new.py"), "").unwrap();
        std::fs::remove_file(root.path().join("addons/c/__manifest__.py")).unwrap();
        symlink("models/it's one.py", root.path().join("addons/c/__manifest__.py")).unwrap();
        look();
        std::fs::remove_dir_all(root.path().join("addons/a")).unwrap();
        look();
    }
}

#[test]
fn a_server_without_the_programs_that_tell_stats_is_read_whole() {
    let root = tree();
    settle();
    let by = SHELLS[0];
    let looking = Remembering { layout: Layout::of_root(root.path()), state: root.path().join("state"), by };
    let queries = [Query::Modules(modules(patterns(&["addons"])))];
    for programs in [Programs::Busybox, Programs::Usual, Programs::Busybox] {
        let usual = matches!(programs, Programs::Usual);
        let (read, trusted) = looking.look(&queries, &programs);
        assert_eq!((read, trusted), if usual { (6, 0) } else { (0, 0) });
    }
    // Where something in modules is left out, it is told by names.
    let query = ModuleQuery { exclude: globs(&["*/models/**"]), ..modules(patterns(&["addons"])) };
    assert_eq!(looking.look(&[Query::Modules(query)], &Programs::Usual), (0, 0));
}

#[test]
fn nobody_who_was_not_asked_for_stats_may_leave_out_digests() {
    let told = |memory: Option<Arc<ServerCache>>, start: &str| {
        let line = "f1:1:2:3:4.000000000:5.000000000:ext4 /a/x";
        let text = format!("\0n begin\0{start}W/a\0\0Nd0 /a\n{line}\0\0s\0Zn 0\0");
        let mut reader = Reader::new("n", 0, Budget::new(&[], None)).remembering(memory);
        let watch = Watch::default();
        reader.feed(text.as_bytes(), &watch).and_then(|()| reader.finish()).map(|mut it| it.take_moved())
    };
    let dir = TempDir::new().unwrap();
    let memory = || Arc::new(ServerCache::new(dir.path().join("state"), Vec::new(), 100, false));
    assert!(told(None, "").is_err());
    assert!(told(None, "T1000\0boot\0\0root\0").is_err());
    assert!(told(Some(memory()), "").is_err());
    assert!(told(Some(memory()), "Tsoon\0boot\0\0root\0").is_err());
    assert_eq!(told(Some(memory()), "T1000\0boot\0\0root\0").unwrap(), [b"/a".to_vec()]);
}
