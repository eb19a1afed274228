//! The lock file of containers and their images.

use super::assert_printable;
use driftlock::model::{Digest, Entry, Value};
use driftlock::section::{IMAGES, fact, find};

/// It is an error with its place, or a state that prints as what is read back as that state, with each container's
/// image and the ID of it; no prefix of what is printed is read.
pub fn images_lock(bytes: &[u8]) {
    let Some(section) = find(IMAGES) else { panic!("there is no section") };
    match section.parse(&[("f", bytes)]) {
        Ok(state) => {
            assert!(!state.entries.is_empty(), "a lock file without a container");
            state.entries.values().for_each(names_an_image);
            let printed = section.print(&state).remove(0);
            let back = section.parse(&[("f", &printed)]);
            assert!(back.as_ref() == Ok(&state), "printed, it is another state: {:?}", back.err());
            assert!(section.print(&state).remove(0) == printed, "it is not printed the same way twice");
            let cut = bytes.len() % (printed.len() - 1);
            assert!(section.parse(&[("f", &printed[..cut])]).is_err(), "it is read without its end");
        }
        Err(error) => {
            let text = error.to_string();
            assert_printable(&text, false);
            let lines = bytes.iter().filter(|&&b| b == b'\n').count() + 1;
            let place = text.strip_prefix("f:").and_then(|rest| rest.split_once(": "));
            let line = place.and_then(|(line, _)| line.parse::<usize>().ok());
            let is_whole = text == "f: it names no container" || text.starts_with("f: container ");
            assert!(is_whole || line.is_some_and(|line| (1..=lines).contains(&line)), "no place: {text}");
        }
    }
}

fn names_an_image(entry: &Entry) {
    let Value::Structured(facts) = &entry.value else { panic!("an entry without facts") };
    assert!(facts.get(fact::IMAGE).is_some_and(|image| !image.is_empty()), "a container without an image");
    let id = facts.get(fact::IMAGE_ID).and_then(|id| id.strip_prefix("sha256:"));
    assert!(id.is_some_and(|hex| Digest::parse(hex.as_bytes()).is_some()), "an image without an ID");
    for digest in facts.get(fact::REPO_DIGESTS).iter().flat_map(|all| all.split(' ')) {
        let hex = digest.split_once("@sha256:").map(|(_, hex)| hex);
        assert!(hex.is_some_and(|hex| Digest::parse(hex.as_bytes()).is_some()), "{digest:?} is no digest");
    }
}
