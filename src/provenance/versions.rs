//! The version that a module's manifest states, in the baseline and on the host.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::search::{Search, Sought};
use crate::git::ObjectEvent;
use crate::model::{Kind, Provenance, Value, Versions};

/// A longer manifest is not read for its version, in bytes.
pub const LONGEST_MANIFEST: u64 = 1 << 20;

impl Search<'_> {
    /// Reads the versions of modules from the repository's manifests, with one question for all; `None` where neither is known.
    pub(super) fn versions<'s>(
        &self,
        judged: impl Iterator<Item = (&'s Sought, &'s Provenance)>,
    ) -> Vec<Option<Versions>> {
        let names: Vec<[Option<Vec<u8>>; 2]> =
            judged.map(|(sought, provenance)| self.manifests(sought, provenance)).collect();
        let asked: Vec<Vec<u8>> = names.iter().flatten().flatten().cloned().collect();
        if asked.is_empty() || self.limit.is_over() {
            return vec![None; names.len()];
        }
        let mut read = self.versions_in(&asked).into_iter();
        let mut version_of = |name: Option<Vec<u8>>| name.and_then(|_| read.next().flatten());
        let each = names.into_iter().map(|[expected, actual]| Versions {
            expected: version_of(expected),
            actual: version_of(actual),
        });
        each.map(|versions| (versions != Versions::default()).then_some(versions)).collect()
    }

    fn versions_in(&self, names: &[Vec<u8>]) -> Vec<Option<String>> {
        let (mut found, mut bytes) = (vec![None; names.len()], Vec::new());
        let _ = self.repository.read_each(names, &self.limit, &mut |at, event| match event {
            ObjectEvent::Piece(piece) if bytes.len() as u64 <= LONGEST_MANIFEST => {
                bytes.extend_from_slice(piece);
            }
            ObjectEvent::Piece(_) => {}
            ObjectEvent::Whole(object) if object.kind == "blob" => {
                found[at] = version(&std::mem::take(&mut bytes));
            }
            _ => bytes.clear(),
        });
        found
    }

    /// The objects that hold the manifest of a module, as the baseline and as the host has it.
    fn manifests(&self, sought: &Sought, provenance: &Provenance) -> [Option<Vec<u8>>; 2] {
        if !sought.is_module {
            return [None, None];
        }
        let manifest = self.key(sought);
        if let Some(part) = sought.parts.iter().find(|part| sought.inner(&part.path) == manifest) {
            return [&part.expected, &part.actual].map(|value| self.object_of(&manifest, value));
        }
        // Only of the baseline's own commit is it known that the whole module is the same.
        let own = provenance.baseline.as_ref().filter(|_| sought.kind == Kind::Modified);
        let same = own.map(|commit| [commit.id.as_bytes(), b":", &manifest].concat());
        [same.clone(), same]
    }

    fn object_of(&self, manifest: &[u8], value: &Value) -> Option<Vec<u8>> {
        let step = *self.matches(manifest, value).first()?;
        let touches = self.touches(manifest);
        let (_, touch) = touches.iter().find(|(_, touch)| touch.step == step)?;
        Some(touch.object.clone().into_bytes())
    }
}

/// `'version': "…"`, at the beginning of a line or behind a brace or comma: what stands in a comment is none.
static VERSION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?m)(?:^|[{,])[ \t]*(?:'version'|"version")[ \t\r\n]*:[ \t\r\n]*(?:'([^'\\\r\n]{1,64})'|"([^"\\\r\n]{1,64})")"#).ok()
});

/// The version that a module's manifest states.
#[must_use]
pub fn version(manifest: &[u8]) -> Option<String> {
    if manifest.len() as u64 > LONGEST_MANIFEST {
        return None;
    }
    let found = VERSION.as_ref()?.captures_iter(manifest).find(|found| {
        let start = found.get(0).map_or(0, |whole| whole.start());
        let line = manifest[..start].rsplit(|&b| b == b'\n').next().unwrap_or_default();
        !line.contains(&b'#')
    })?;
    let text = found.get(1).or_else(|| found.get(2))?;
    Some(String::from_utf8_lossy(text.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_however_they_are_written() {
        let of = |text: &str| version(text.as_bytes());
        assert_eq!(of("{'name': 'x', 'version': '18.0.1.2.0'}").as_deref(), Some("18.0.1.2.0"));
        assert_eq!(of("{\n    \"version\" :\n  \"17.0.1\",\n}").as_deref(), Some("17.0.1"));
        assert_eq!(of("{\n  # 'version': '1',\n  'version': \"2\",\n}").as_deref(), Some("2"));
        assert_eq!(of("{\n  # once, 'version': '1',\n  'version': '2'}").as_deref(), Some("2"));
        assert_eq!(of("{'summary': 'the version: 3'}"), None);
        assert_eq!(of("{'version': VERSION}"), None);
    }
}
