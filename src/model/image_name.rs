//! Names of images, in the one form in which two of them can be compared:
//! <https://pkg.go.dev/github.com/distribution/reference>.

use super::Digest;

/// The registry of names that name none, and its older name.
const HUB: &str = "docker.io";
const OLD_HUB: &str = "index.docker.io";

/// A reference to an image with everything filled in that it may leave out: the registry, the namespace and the tag. A
/// digest says all that a tag could, which is left out beside it; an image ID stays one. What is no reference stays as it is.
#[must_use]
pub fn full_image_name(reference: &str) -> String {
    let hex = reference.strip_prefix("sha256:").unwrap_or(reference);
    if is_lower_hex(hex) && Digest::parse(hex.as_bytes()).is_some() {
        return format!("sha256:{hex}");
    }
    let (rest, digest) = match reference.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (reference, None),
    };
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[last..].find(':') {
        Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
        None => (rest, None),
    };
    let name = with_registry(name);
    if !is_repository(&name) || tag == Some("") || digest == Some("") {
        return reference.to_owned();
    }
    match digest {
        Some(digest) => format!("{name}@{digest}"),
        None => format!("{name}:{}", tag.unwrap_or("latest")),
    }
}

/// A name with its registry. What stands before the first slash is one when it could be nothing else: a port or a
/// dot is in it, or it is `localhost`.
fn with_registry(name: &str) -> String {
    let is_registry = |first: &str| first == "localhost" || first.contains(['.', ':']);
    let (registry, path) =
        name.split_once('/').filter(|(first, _)| is_registry(first)).unwrap_or((HUB, name));
    let registry = if registry == OLD_HUB { HUB } else { registry };
    let namespace = if registry == HUB && !path.contains('/') { "library/" } else { "" };
    format!("{registry}/{namespace}{path}")
}

/// Whether the path behind the registry is one that a registry can have.
fn is_repository(name: &str) -> bool {
    let is_part = |part: &str| {
        let may = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        !part.is_empty() && part.bytes().all(may)
    };
    name.split('/').skip(1).all(is_part)
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_a_name_leaves_out_is_filled_in() {
        let hex = "ab".repeat(32);
        for (given, full) in [
            ("traefik", "docker.io/library/traefik:latest"),
            ("index.docker.io/traefik", "docker.io/library/traefik:latest"),
            ("docker.io/library/traefik:v3", "docker.io/library/traefik:v3"),
            ("docker.io/a/b", "docker.io/a/b:latest"),
            ("a/b:1", "docker.io/a/b:1"),
            ("library/x", "docker.io/library/x:latest"),
            ("localhost/odoo", "localhost/odoo:latest"),
            ("localhost:5000/odoo", "localhost:5000/odoo:latest"),
            ("Registry/odoo", "Registry/odoo"),
            ("ghcr.io/a/b/c", "ghcr.io/a/b/c:latest"),
            ("odoo@sha256:ab", "docker.io/library/odoo@sha256:ab"),
            ("odoo:18@sha256:ab", "docker.io/library/odoo@sha256:ab"),
            ("localhost:5000/odoo:18@sha256:ab", "localhost:5000/odoo@sha256:ab"),
            ("", ""),
            ("Odoo", "Odoo"),
            ("a b", "a b"),
            ("odoo:", "odoo:"),
            ("<none>:<none>", "<none>:<none>"),
            ("a//b", "a//b"),
        ] {
            assert_eq!(full_image_name(given), full, "{given}");
        }
        let id = format!("sha256:{hex}");
        assert_eq!((full_image_name(&hex), full_image_name(&id)), (id.clone(), id));
    }
}
