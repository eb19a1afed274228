//! The colours of the page, as its style sheet has them: everything that is text stands out from what is behind it.

use std::collections::BTreeMap;

const STYLE: &str = include_str!("style.css");
/// What text stands on: the page, a card, what is sunk into one.
const GROUNDS: [&str; 3] = ["paper", "card", "sunk"];
/// WCAG 2.1, 1.4.3: text of any size.
const TEXT: f64 = 4.5;
/// WCAG 2.1, 1.4.11: shapes that mean something.
const SHAPE: f64 = 3.0;

type Colours = BTreeMap<String, [u8; 3]>;

/// The colours of the light, the dark and the printed page: each later block goes on top of the first.
fn schemes() -> Vec<Colours> {
    let blocks = STYLE.split(":root {").skip(1).map(|rest| rest.split('}').next().unwrap());
    let mut schemes: Vec<Colours> = Vec::new();
    for block in blocks {
        let mut scheme = schemes.first().cloned().unwrap_or_default();
        for line in block.split(';').filter_map(|line| line.trim().strip_prefix("--")) {
            let (name, value) = line.split_once(": #").unwrap();
            let part = |at: usize| u8::from_str_radix(&value[at..at + 2], 16).unwrap();
            scheme.insert(name.to_owned(), [part(0), part(2), part(4)]);
        }
        schemes.push(scheme);
    }
    assert_eq!(schemes.len(), 3, "light, dark, print");
    schemes
}

/// The relative luminance of a colour, as WCAG 2.1 defines it.
fn luminance(colour: [u8; 3]) -> f64 {
    let [r, g, b] = colour.map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn contrast_is_that_of_wcag() {
    assert!((contrast([0; 3], [255; 3]) - 21.0).abs() < 0.001);
    assert!((contrast([0x77; 3], [255; 3]) - 4.48).abs() < 0.01, "the grey that just fails");
}

#[test]
fn text_can_be_read_on_every_ground() {
    for scheme in schemes() {
        let on = |text: &str, ground: &str, least: f64| {
            let found = contrast(scheme[text], scheme[ground]);
            assert!(found >= least, "--{text} on --{ground}: {found:.2}");
        };
        for name in scheme.keys().filter(|name| !GROUNDS.contains(&name.as_str()) && *name != "line") {
            if name.ends_with("-bar") {
                on(name, "card", SHAPE);
            } else if let Some(text) = name.strip_suffix("-tint") {
                on(text, name, TEXT);
            } else {
                for ground in GROUNDS {
                    on(name, ground, TEXT);
                }
            }
        }
    }
}

#[test]
fn every_colour_has_a_name() {
    for line in STYLE.lines().filter(|line| !line.trim().starts_with("--")) {
        assert!(!line.contains('#') && !line.contains("rgb(") && !line.contains("hsl("), "{line}");
    }
}

#[test]
fn nothing_is_loaded() {
    for word in ["url(", "@import", "@font-face", "//", "src", "</"] {
        assert!(!STYLE.contains(word), "{word}");
    }
}
