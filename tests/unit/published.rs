//! Published JSON Schemas: each is the one that the code generates.

use std::path::Path;

use schemars::JsonSchema;

/// Holds `docs/NAME` to the schema of a type; `UPDATE_SCHEMA=1` writes it.
pub(crate) fn hold<T: JsonSchema>(name: &str) {
    hold_text(name, &(serde_json::to_string_pretty(&schemars::schema_for!(T)).unwrap() + "\n"));
}

/// Holds `docs/NAME` to a text; `UPDATE_SCHEMA=1` writes it.
pub(crate) fn hold_text(name: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(published == now, "docs/{name} is stale: UPDATE_SCHEMA=1 cargo test schema");
}
