//! The published JSON Schema is the one that the code generates.

use super::Document;

#[test]
fn the_published_schema_is_the_one_of_the_code() {
    crate::published::hold::<Document>("report.schema.json");
}
