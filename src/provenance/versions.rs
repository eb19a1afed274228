//! The version that a module's manifest states, in the baseline and on the host.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::search::{Search, Sought};
use crate::model::{Commit, Kind, Part, Provenance, Value, Versions};

/// A longer manifest is none.
const LONGEST: usize = 1 << 20;

impl Search<'_> {
    /// Reads the versions of a module from the repository's manifests; `None` where neither is known.
    pub(super) fn versions(&self, sought: &Sought, provenance: &Provenance) -> Option<Versions> {
        if !sought.is_module || self.limit.is_over() {
            return None;
        }
        let manifest = self.key(sought);
        let is_manifest = |part: &&Part| sought.inner(&part.path) == manifest;
        let versions = if let Some(part) = sought.parts.iter().find(is_manifest) {
            Versions {
                expected: self.version_of(&manifest, &part.expected),
                actual: self.version_of(&manifest, &part.actual),
            }
        } else if sought.kind == Kind::Modified {
            let at = |commit: &Commit| self.version_in(&[commit.id.as_bytes(), b":", &manifest].concat());
            // Only of the baseline's own commit is it known that the whole module is the same.
            let same = provenance.baseline.as_ref().and_then(at);
            Versions { expected: same.clone(), actual: same }
        } else {
            return None;
        };
        (versions != Versions::default()).then_some(versions)
    }

    fn version_of(&self, manifest: &[u8], value: &Value) -> Option<String> {
        let step = *self.matches(manifest, value).first()?;
        let touches = self.touches(manifest);
        let (_, touch) = touches.iter().find(|(_, touch)| touch.step == step)?;
        self.version_in(touch.object.as_bytes())
    }

    fn version_in(&self, name: &[u8]) -> Option<String> {
        version(&self.repository.content(name).ok()??)
    }
}

/// `'version': "…"`, at the beginning of a line or behind a brace or comma: what stands in a comment is none.
static VERSION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?m)(?:^|[{,])[ \t]*(?:'version'|"version")[ \t\r\n]*:[ \t\r\n]*(?:'([^'\\\r\n]{1,64})'|"([^"\\\r\n]{1,64})")"#).ok()
});

/// The version that a module's manifest states.
#[must_use]
pub fn version(manifest: &[u8]) -> Option<String> {
    if manifest.len() > LONGEST {
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
