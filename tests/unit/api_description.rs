//! The published description of the API is the one of the routes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::ROUTES;
use crate::config::policies::PolicyForm;
use crate::serve::api::{AcknowledgeBody, Queued, ReconcileBody};
use crate::serve::http::openapi;
use crate::serve::policies::{PolicyBody, PolicyList, PolicyPatch, PolicyView};
use crate::serve::repair::{ApprovalView, ApproveBody, RemediateBody, RepairView};
use crate::serve::views::{DeploymentList, IncidentPage, IncidentView, PlaceView, Timeline, WholeReport};

/// The report of a run, as a role may see it.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is asked for")]
enum RunReport {
    /// Whole: with the role `detail`.
    Whole(#[schemars(schema_with = "crate::report::json::schema")] Value),
    /// Verdicts and names.
    Brief(PlaceView),
}

impl JsonSchema for PolicyPatch {
    fn schema_name() -> Cow<'static, str> {
        "PolicyPatch".into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let mut schema = PolicyForm::json_schema(schemas);
        schema.remove("required");
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut).unwrap();
        properties.remove("name");
        for property in properties.values_mut() {
            *property = serde_json::json!({"anyOf": [property, {"type": "null"}]});
        }
        schema
    }
}

#[test]
fn the_published_schema_of_the_api_is_that_of_its_routes() {
    let mut schemas = openapi::schemas();
    schemas.subschema_for::<AcknowledgeBody>();
    schemas.subschema_for::<ApprovalView>();
    schemas.subschema_for::<ApproveBody>();
    schemas.subschema_for::<DeploymentList>();
    schemas.subschema_for::<IncidentPage>();
    schemas.subschema_for::<IncidentView>();
    schemas.subschema_for::<PolicyBody>();
    schemas.subschema_for::<PolicyList>();
    schemas.subschema_for::<PolicyPatch>();
    schemas.subschema_for::<PolicyView>();
    schemas.subschema_for::<Queued>();
    schemas.subschema_for::<ReconcileBody>();
    schemas.subschema_for::<RemediateBody>();
    schemas.subschema_for::<RepairView>();
    schemas.subschema_for::<RunReport>();
    schemas.subschema_for::<Timeline>();
    schemas.subschema_for::<WholeReport>();
    let described = openapi::described(ROUTES.iter().map(|route| &route.spec), schemas);
    crate::published::hold_text("openapi.json", &described);
    let document: Value = serde_json::from_str(&described).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/drift/events/{id}") && !paths.contains_key("/page/acknowledge"));
}
