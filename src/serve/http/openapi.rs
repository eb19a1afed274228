//! The description of a site's routes (`OpenAPI` 3.1), which is published as `docs/openapi.json` and embedded from there.
//!
//! The test of a site makes one [`SchemaGenerator`] by [`schemas`], asks it for `subschema_for` of each type that its routes name,
//! and holds [`described`] to the published file by `crate::published::hold_text`.

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::problem::ProblemDocument;
use super::spec::{QueryForm, RouteKind, RouteSpec};

/// The type of most answers.
const JSON: &str = "application/json";

/// What makes the schemas that routes name.
pub(crate) fn schemas() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12();
    let settings = settings.with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    generator.subschema_for::<ProblemDocument<'_>>();
    generator
}

/// The description, as it is published.
///
/// # Panics
/// When a route names a schema that is unknown, one of a body that takes unknown keys, or none where it needs one.
pub(crate) fn described<'a>(
    specs: impl Iterator<Item = &'a RouteSpec>,
    mut schemas: SchemaGenerator,
) -> String {
    let definitions = schemas.take_definitions(true);
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for spec in specs.filter(|spec| matches!(spec.kind, RouteKind::Api | RouteKind::Stream)) {
        hold_names(spec, &definitions);
        let operations = paths.entry(spec.path).or_default();
        let before = operations.insert(spec.verb.word().to_lowercase(), operation(spec));
        assert!(before.is_none(), "{} {} stands twice", spec.verb.word(), spec.path);
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "driftlock serve",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "responses": {"Problem": {
                "description": "Why there is no other answer (RFC 9457).",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
            }},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "From `driftlock serve token`."},
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "driftlock_session",
                    "description": "From the login; with TLS `__Host-driftlock_session`. Changes also need X-CSRF-Token.",
                },
            },
        },
    });
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

fn hold_names(spec: &RouteSpec, definitions: &Map<String, Value>) {
    let route = format!("{} {}", spec.verb.word(), spec.path);
    assert!(spec.summary.ends_with('.'), "{route} has no summary");
    for name in [spec.takes, spec.gives].into_iter().flatten().filter(|name| !name.contains('/')) {
        assert!(definitions.contains_key(name), "{route}: there is no schema {name}");
    }
    if let Some(name) = spec.takes {
        let additional = &definitions[name]["additionalProperties"];
        assert_eq!(*additional, Value::Bool(false), "{route}: {name} must refuse unknown keys");
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn operation(spec: &RouteSpec) -> Value {
    let words = spec.path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty());
    let id = std::iter::once(spec.verb.word().to_lowercase()).chain(words.map(str::to_owned));
    let mut operation = json!({
        "operationId": id.collect::<Vec<_>>().join("_"),
        "summary": spec.summary,
        "parameters": parameters(spec),
        "responses": {
            spec.status.to_string(): success(spec),
            "default": {"$ref": "#/components/responses/Problem"},
        },
        "security": match spec.role {
            Some(_) => json!([{"token": []}, {"session": []}]),
            None => json!([]),
        },
    });
    if let Some(status) = spec.or_status {
        operation["responses"][status.to_string()] = success(spec);
    }
    if let Some(role) = spec.role {
        operation["x-role"] = role.word().into();
    }
    if let Some(name) = spec.takes {
        let content = json!({"application/json": {"schema": reference(name)}});
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}

fn success(spec: &RouteSpec) -> Value {
    let text = |of: &str| (of.to_owned(), json!({"schema": {"type": "string"}}));
    let content = match (spec.kind, spec.gives) {
        (RouteKind::Stream, _) => Some(text("text/event-stream")),
        (_, Some(JSON)) => Some((JSON.to_owned(), json!({"schema": {"type": "object"}}))),
        (_, Some(name)) if name.contains('/') => Some(text(name)),
        (_, Some(name)) => Some((JSON.to_owned(), json!({"schema": reference(name)}))),
        (_, None) => None,
    };
    let content: Map<String, Value> = content.into_iter().chain(spec.or_gives.map(text)).collect();
    if content.is_empty() {
        return json!({"description": "It is done."});
    }
    json!({"description": "The answer.", "content": content})
}

fn parameters(spec: &RouteSpec) -> Vec<Value> {
    let in_path = spec.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| {
        json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}})
    });
    let in_query = spec.query.iter().map(
        |key| json!({"name": key.name, "in": "query", "description": key.summary, "schema": form(key.form)}),
    );
    in_path.chain(in_query).collect()
}

fn form(form: QueryForm) -> Value {
    match form {
        QueryForm::Text => json!({"type": "string"}),
        QueryForm::Number(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        QueryForm::OneOf(words) => json!({"type": "string", "enum": words}),
        QueryForm::ListOf(words) => {
            let words = words().join("|");
            json!({"type": "string", "pattern": format!("^({words})(,({words}))*$")})
        }
    }
}
