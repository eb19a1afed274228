//! The names of compose files, and the places where detection finds one.

/// Whether detection would find the compose file at a repository path.
#[must_use]
pub fn is_detected_compose_file(path: &[u8]) -> bool {
    let mut parts: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
    let name = parts.pop().unwrap_or_default();
    let passed_over =
        |(depth, part): (usize, &&[u8])| is_passed_over(if depth == 0 { b"" } else { b"x" }, part);
    !path.starts_with(b"/") && is_compose_name(name) && !parts.iter().enumerate().any(passed_over)
}

pub(super) fn is_passed_over(dir: &[u8], name: &[u8]) -> bool {
    name.starts_with(b".") || name == b"node_modules" || (dir.is_empty() && name == b"audit")
}

/// The last component of a pattern over compose files: it matches every name by which detection knows one, and some more.
pub const COMPOSE_NAMES: &str = "*compose*.y*ml";

/// Whether a file is a compose file by its name: `compose.yml`, `docker-compose.yml`, either with `.NAME` or `-NAME` before `.yml` or `.yaml`.
#[must_use]
pub fn is_compose_name(name: &[u8]) -> bool {
    let stem = name.strip_suffix(b".yml").or_else(|| name.strip_suffix(b".yaml"));
    let Some(stem) = stem else { return false };
    let rest = stem.strip_prefix(b"docker-compose").or_else(|| stem.strip_prefix(b"compose"));
    rest.is_some_and(|rest| rest.is_empty() || (rest.len() > 1 && matches!(rest[0], b'.' | b'-')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_matches_every_name() {
        let pattern = crate::model::Glob::new(COMPOSE_NAMES).unwrap();
        for stem in ["compose", "docker-compose"] {
            for middle in ["", ".override", "-prod", ".a.b", "-a.b", ".composer", "._"] {
                for ending in ["yml", "yaml"] {
                    let name = format!("{stem}{middle}.{ending}");
                    assert!(is_compose_name(name.as_bytes()) && pattern.matches(name.as_bytes()), "{name}");
                }
            }
        }
    }

    #[test]
    fn compose_files_are_known_by_name() {
        for yes in [
            "compose.yml",
            "compose.yaml",
            "docker-compose.yml",
            "docker-compose.prod.yml",
            "compose-dev.yaml",
        ] {
            assert!(is_compose_name(yes.as_bytes()), "{yes}");
        }
        for no in [
            "compose.json",
            "composer.yml",
            "docker-compose..yml.bak",
            "docker-compose-.yml",
            "my-compose.yml",
        ] {
            assert!(!is_compose_name(no.as_bytes()), "{no}");
        }
    }
}
