//! Links of the baseline's commit that are files on the host, or the other way round.

use super::guise::Through;
use super::search::{Search, Sought};
use super::tree::Standing;
use crate::git::{Form, Mode};
use crate::model::Value;

/// How many links are followed one after the other.
const HOPS: usize = 8;
/// The longest target that is read.
const LONGEST: u64 = 4096;

impl Search<'_> {
    /// Follows the links of the baseline's commit, and of what is checked out, where the one side has the target of a link
    /// for the content of a file.
    pub(super) fn look_through_links(&mut self, sought: &[Sought]) {
        let commits: Vec<String> =
            [&self.base, &self.head].into_iter().flatten().map(|it| it.id.clone()).collect();
        for one in sought.iter().filter(|one| !one.is_module) {
            for commit in &commits {
                if self.limit.is_over() || self.through.contains_key(&one.named) {
                    break;
                }
                if let Some(through) = self.through(one, commit) {
                    self.through.insert(one.named.clone(), through);
                }
            }
        }
    }

    fn through(&mut self, one: &Sought, commit: &str) -> Option<Through> {
        let Standing::Object(link) = self.trees.standing(commit, &one.named) else { return None };
        let link = link.to_owned();
        self.digests.learn(self.repository, &[&link], Form::Stored, &|_| true, &self.limit);
        let text = self.digests.get(&link, Form::Stored)?;
        let is_text = |value: &Value| *value == Value::Digest(text);
        if !is_text(&one.expected) && !is_text(&one.actual) {
            return None;
        }
        let listed = self.repository.at(commit).list(self.repository.project_path(&one.named)?).ok()?;
        if !listed.iter().any(|listed| listed.mode == Mode::Link && listed.object == link) {
            return None;
        }
        let (mut path, mut blob) = (one.named.clone(), link);
        for hop in 0..HOPS {
            let object = self.repository.object(blob.as_bytes()).ok().flatten()?;
            let target =
                if object.size < LONGEST { self.repository.content(blob.as_bytes()).ok()? } else { None };
            let next = target.as_deref().and_then(|target| leads_to(&path, target));
            let asked = next.clone().map(|next| (commit.to_owned(), next));
            self.trees.stand(self.repository, asked.as_slice(), &self.limit);
            let there = next.and_then(|next| match self.trees.standing(commit, &next) {
                Standing::Object(id) => Some((next, id.to_owned())),
                _ => None,
            });
            match there {
                Some(found) => (path, blob) = found,
                // What leads to nothing is the file itself.
                None if hop > 0 => break,
                None => return None,
            }
        }
        self.digests.learn(self.repository, &[&blob], Form::Stored, &|_| true, &self.limit);
        self.digests.learn_forms(self.repository, &[&blob], &self.limit);
        self.learn_attributes(&[path.clone()].into());
        self.learn_checked_out(vec![(blob.clone(), path.clone())], false);
        Some(Through { commit: commit.to_owned(), text, path, blob })
    }
}

/// The path that a link's target leads to; `None` where that is outside.
fn leads_to(link: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    if target.is_empty() || target.starts_with(b"/") || target.contains(&b'\n') {
        return None;
    }
    let mut parts: Vec<&[u8]> = link.split(|&b| b == b'/').collect();
    parts.pop();
    for part in target.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}
