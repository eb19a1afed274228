//! A disk that tells what is in its directories in another order, which must never matter.

use std::path::{Path, PathBuf};

use assert_fs::TempDir;
use assert_fs::prelude::*;
use proptest::prelude::*;
use rustix::fs::FileType;

use super::disk::{Disk, ThisDisk};
use super::read::{HEAD, ReadError};
use super::storage::{Asked, DirectoryId, Held, Storage};
use super::{FileQuery, HostError, Layout, ModuleQuery, Scope, Seen, Select, Watch, files, modules};
use crate::model::{Digest, Glob, Stat};

/// This machine's disk, in the order of a number.
struct Shuffled(u64);

/// What is in a module's directory, in the order of a number.
struct ShuffledModule<'a>(u64, Box<dyn Held + 'a>);

/// An order that has nothing to do with names.
fn shuffle(order: u64, entries: &mut [(Vec<u8>, FileType)]) {
    entries.sort_by_key(|(name, _)| Digest::of(&[&order.to_be_bytes(), &name[..]].concat()).hex());
}

impl Disk for Shuffled {
    fn is_file(&self, path: &Path) -> bool {
        ThisDisk.is_file(path)
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        ThisDisk.real(path)
    }
}

impl Storage for Shuffled {
    fn entries(&self, dir: &Path, asked: Asked<'_>) -> Result<Vec<(Vec<u8>, FileType)>, ReadError> {
        let mut entries = ThisDisk.entries(dir, asked)?;
        shuffle(self.0, &mut entries);
        Ok(entries)
    }

    fn directory_id(&self, path: &Path) -> Result<Option<DirectoryId>, ReadError> {
        ThisDisk.directory_id(path)
    }

    fn exists(&self, path: &Path) -> Result<(), ReadError> {
        ThisDisk.exists(path)
    }

    fn file(&self, path: &Path, watch: &Watch) -> Result<Seen, HostError> {
        ThisDisk.file(path, watch)
    }

    fn module(&self, path: &Path) -> Result<Option<Box<dyn Held + '_>>, ReadError> {
        let module = ThisDisk.module(path)?;
        Ok(module.map(|module| Box::new(ShuffledModule(self.0, module)) as Box<dyn Held>))
    }
}

impl Held for ShuffledModule<'_> {
    fn list(&self, dir: &[u8], take: &mut dyn FnMut(&[u8], FileType)) -> Result<(), ReadError> {
        let mut entries = Vec::new();
        self.1.list(dir, &mut |name, kind| entries.push((name.to_vec(), kind)))?;
        shuffle(self.0, &mut entries);
        for (name, kind) in &entries {
            take(name, *kind);
        }
        Ok(())
    }

    fn link(&self, path: &[u8]) -> Result<Digest, ReadError> {
        self.1.link(path)
    }

    fn head(&self, path: &[u8]) -> Result<Option<[u8; HEAD]>, ReadError> {
        self.1.head(path)
    }

    fn hash(&self, path: &[u8], watch: &Watch) -> Result<(Digest, Stat), ReadError> {
        self.1.hash(path, watch)
    }
}

/// Everything that `disk` leads to: files and modules, by patterns and by detection.
fn seen(disk: &dyn Storage, root: &Path) -> String {
    let (layout, watch) = (Layout::of_root(root), Watch::default());
    let patterns = |text: &str| Select::Patterns(vec![Glob::new(text).unwrap()]);
    let all_files = [patterns("**"), patterns("a/*/*.yml"), Select::Detect].map(|select| {
        let query =
            FileQuery { select, exclude: vec![], named: vec![], scope: Scope::default(), beside: false };
        files::observe(disk, &layout, &query, &watch).unwrap()
    });
    let all_modules = [patterns("*"), patterns("**"), Select::Detect].map(|select| {
        let exclude = vec![Glob::new("**/tests/**").unwrap()];
        let (named, known, scope) = (vec![], [].into(), Scope::default());
        let query = ModuleQuery { select, exclude, named, known, scope, all_bytecode: true };
        modules::observe(disk, &layout, &query, &watch).unwrap()
    });
    format!("{all_files:#?}\n{all_modules:#?}")
}

proptest! {
    #![proptest_config(crate::random::cases(32))]

    #[test]
    fn the_order_of_directories_does_not_matter(
        paths in prop::collection::btree_set("[abm]/[abm]/(|tests/|x/)(docker-compose|__manifest__|[a-z]{1,2})\\.(yml|py)", 1..30),
        links in prop::collection::btree_map("[abm]/l[a-e]", "(\\.\\./)?[abm](/[abm])?", 0..4),
        order in any::<u64>(),
    ) {
        let dir = TempDir::new().unwrap();
        for path in &paths {
            dir.child(path).write_str(path).unwrap();
        }
        for (path, target) in &links {
            std::fs::create_dir_all(dir.child(path).parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, dir.child(path)).unwrap();
        }
        let told = seen(&Shuffled(order), dir.path());
        prop_assert_eq!(told.clone(), seen(&Shuffled(!order), dir.path()));
        prop_assert_eq!(told, seen(&ThisDisk, dir.path()));
    }
}
