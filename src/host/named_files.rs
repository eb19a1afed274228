//! The files that compose files name, followed from one to the next as they lie on a host.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::unseen::{Unseen, without_dots};
use super::{Content, Host, HostError, Layout, Watch};
use crate::content::{FileNames, NamedRole, Portion, names_in};
use crate::model::Obstacle;

/// A longer compose file is not read for names, in bytes.
const LONGEST: u64 = 1 << 20;
/// More compose files than these are not followed.
const MOST: usize = 2000;
/// The clock of a machine: mounted into many containers, and released by nobody.
const CLOCK: [&[u8]; 2] = [b"/etc/localtime", b"/etc/timezone"];

/// What compose files name, and is there.
#[derive(Debug, Default)]
pub struct NamedFiles {
    /// The files; of those that were known before, none.
    pub files: BTreeSet<Vec<u8>>,
    /// Compose files whose names are not known, each with the reason.
    pub unknown: BTreeMap<Vec<u8>, String>,
    /// Compose files with names that Compose alone can resolve.
    pub unresolved: BTreeSet<Vec<u8>>,
}

/// Where names are looked for, and what is known already.
pub struct NameSearch<'a> {
    /// The host.
    pub host: &'a dyn Host,
    /// Where repository paths lie on it.
    pub layout: &'a Layout,
    /// The content of a compose file, where that is known without asking the host.
    pub content: &'a dyn Fn(&[u8]) -> Option<Vec<u8>>,
    /// Whether a file need not be told of.
    pub is_known: &'a dyn Fn(&[u8]) -> bool,
    /// Tells when the user ends the run.
    pub watch: &'a Watch,
}

/// A compose file to read, and the directory on the host that its names are relative to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Reading {
    path: Vec<u8>,
    portion: Portion,
    directory: PathBuf,
}

impl NameSearch<'_> {
    /// Follows the names in these compose files, by repository path.
    ///
    /// # Errors
    /// When the host could not be asked, or `watch` was cancelled.
    pub fn from(&self, compose_files: impl Iterator<Item = Vec<u8>>) -> Result<NamedFiles, HostError> {
        let mut found = NamedFiles::default();
        let whole = |path: Vec<u8>| {
            let directory = self.layout.locate(&path)?.parent()?.to_owned();
            Some(Reading { path, portion: Portion::Whole, directory })
        };
        let mut round: BTreeSet<Reading> = compose_files.filter_map(whole).collect();
        let given: BTreeSet<Vec<u8>> = round.iter().map(|reading| reading.path.clone()).collect();
        let (mut done, mut plain) = (BTreeSet::new(), BTreeSet::new());
        while !round.is_empty() && done.len() < MOST {
            let contents = self.contents(&round)?;
            let mut next = BTreeSet::new();
            for reading in &round {
                let is_given = given.contains(&reading.path);
                match &contents[&reading.path] {
                    Content::Gone => continue,
                    Content::Bytes(bytes) => {
                        match names_in(&String::from_utf8_lossy(bytes), &reading.portion) {
                            Ok(names) => self.sort_in(reading, names, &mut next, &mut plain, &mut found),
                            Err(why) => drop(found.unknown.insert(reading.path.clone(), why.to_string())),
                        }
                    }
                    Content::TooLarge(size) => {
                        found.unknown.insert(reading.path.clone(), format!("it has {size} bytes"));
                    }
                    // A directory, such as a whole project that is included, is no file.
                    Content::Unreadable(why) if why.obstacle() == Some(Obstacle::NoFile) => continue,
                    Content::Unreadable(why) => {
                        drop(found.unknown.insert(reading.path.clone(), why.to_string()));
                    }
                }
                if !is_given && !(self.is_known)(&reading.path) {
                    found.files.insert(reading.path.clone());
                }
            }
            done.append(&mut round);
            round = next.difference(&done).cloned().collect();
        }
        plain.retain(|path: &Vec<u8>| {
            !given.contains(path) && !found.files.contains(path) && !CLOCK.contains(&path.as_slice())
        });
        plain.retain(|path| !(self.is_known)(path));
        self.keep_those_there(plain, &mut found)?;
        Ok(found)
    }

    /// The content of the compose files of one round.
    fn contents(&self, round: &BTreeSet<Reading>) -> Result<BTreeMap<Vec<u8>, Content>, HostError> {
        let mut contents = BTreeMap::new();
        let mut asked = Vec::new();
        for path in round.iter().map(|reading| &reading.path).collect::<BTreeSet<_>>() {
            match (self.content)(path) {
                Some(bytes) => drop(contents.insert(path.clone(), Content::Bytes(bytes))),
                None => asked.push((path.clone(), LONGEST)),
            }
        }
        let told = self.host.contents(&asked, self.watch)?;
        contents.extend(asked.into_iter().map(|(path, _)| path).zip(told));
        Ok(contents)
    }

    fn sort_in(
        &self,
        reading: &Reading,
        names: FileNames,
        next: &mut BTreeSet<Reading>,
        plain: &mut BTreeSet<Vec<u8>>,
        found: &mut NamedFiles,
    ) {
        if names.unresolved > 0 {
            found.unresolved.insert(reading.path.clone());
        }
        let dotenv = names.has_variables && reading.portion == Portion::Whole;
        let dotenv = dotenv.then(|| (".env".to_owned(), NamedRole::Plain));
        for (name, role) in names.files.into_iter().chain(dotenv) {
            let place = without_dots(&reading.directory.join(&name));
            let path = self.layout.repository_path(&place, &Unseen(self.layout));
            let path = path.unwrap_or_else(|| place.as_os_str().as_bytes().to_vec());
            match role {
                NamedRole::Plain => drop(plain.insert(path)),
                NamedRole::Compose { portion, directory } => {
                    let own = place.parent().unwrap_or(&place).to_owned();
                    let directory = directory.map_or(own, |it| without_dots(&reading.directory.join(it)));
                    next.insert(Reading { path, portion, directory });
                }
            }
        }
    }

    /// Asks the host which of the files are there. Their content is not read.
    fn keep_those_there(&self, paths: BTreeSet<Vec<u8>>, found: &mut NamedFiles) -> Result<(), HostError> {
        let asked: Vec<(Vec<u8>, u64)> = paths.into_iter().map(|path| (path, 0)).collect();
        let told = self.host.contents(&asked, self.watch)?;
        let there = asked.into_iter().zip(told).filter(|(_, content)| match content {
            Content::Bytes(_) | Content::TooLarge(_) => true,
            Content::Gone => false,
            Content::Unreadable(why) => why.obstacle() != Some(Obstacle::NoFile),
        });
        found.files.extend(there.map(|((path, _), _)| path));
        Ok(())
    }
}
