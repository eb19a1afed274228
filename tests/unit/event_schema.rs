//! The published JSON Schema of events is the one that the code generates.

use super::Event;

#[test]
fn the_published_schema_is_the_one_of_the_code() {
    crate::published::hold::<Event>("event.schema.json");
}
