//! Names of images, as the engine itself tells one from another.

use std::collections::{BTreeMap, BTreeSet};

use driftlock::model::full_image_name;

use crate::support::dice::Dice;
use crate::support::docker::Stage;
use crate::support::random::seed;

/// Names of one image in spellings at random: each set that the engine takes for one tag has one full name, and no other has it.
#[test]
fn names_at_random_are_told_apart_as_the_engine_does() {
    let mut dice = Dice(seed());
    let stage = Stage::new();
    let image = stage.image("keep:1");
    let registries = [
        "",
        "",
        "docker.io/",
        "index.docker.io/",
        "localhost/",
        "localhost:5000/",
        "ghcr.io/",
        "a:1/",
        "registry-1.docker.io/",
    ];
    let namespaces = ["", "", "library/", "a/", "a/b/", "localhost/", "docker.io/"];
    let tags = ["", "", ":latest", ":1", ":Latest"];
    let mut told_apart: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for _ in 0..60 {
        let (registry, namespace) = (dice.one_of(&registries), dice.one_of(&namespaces));
        // Of a namespace that looks like a registry the engine leaves out the registry, so that its own name is another one.
        if registry.ends_with("docker.io/") && ["localhost/", "docker.io/"].contains(&namespace) {
            continue;
        }
        let given = format!("{registry}{namespace}{}-x{}", stage.prefix, dice.one_of(&tags));
        stage.docker(&["tag", &image, &given]);
        let told = stage.docker(&["image", "inspect", "--format={{json .RepoTags}}", &image]);
        stage.docker(&["rmi", "--no-prune", &given]);
        let told: Vec<String> = serde_json::from_str(&told).unwrap();
        let [known] = &told.into_iter().filter(|name| *name != image).collect::<Vec<_>>()[..] else {
            panic!("{given}");
        };
        let known = known.clone();
        assert_eq!(full_image_name(&known), full_image_name(&given));
        told_apart.entry(known).or_default().insert(full_image_name(&given));
    }
    let full: BTreeSet<&String> = told_apart.values().flatten().collect();
    assert!(told_apart.len() > 5 && full.len() == told_apart.len(), "{told_apart:?}");
    assert!(told_apart.values().all(|names| names.len() == 1), "{told_apart:?}");
}
