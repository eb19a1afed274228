//! The JSON of a plan, read as it arrives: <https://developer.hashicorp.com/terraform/internals/json-format>.
//!
//! A document of 200 MB is never in memory as a whole. Of `planned_values` nothing is read, of `prior_state` only data
//! sources and outputs, of `configuration` only what tells which values are secret.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufReader, Read};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::configuration::Configuration;
use super::secrets::Secrets;
use super::stream::{Each, EachNamed, object};
use super::values::{Marks, marked};

/// How much is read from a pipe at once, in bytes.
const BUFFER: usize = 256 << 10;

/// A change of a resource or an output, as a plan has it.
#[derive(Deserialize, Default)]
pub(super) struct RawChange {
    /// `no-op`, `create`, `read`, `update`, `delete`, `forget`; both `create` and `delete` for a replacement.
    #[serde(default)]
    pub(super) actions: Vec<String>,
    #[serde(default)]
    before: Option<Box<RawValue>>,
    #[serde(default)]
    after: Option<Box<RawValue>>,
    #[serde(default)]
    after_unknown: Option<Box<RawValue>>,
    #[serde(default)]
    before_sensitive: Option<Box<RawValue>>,
    #[serde(default)]
    after_sensitive: Option<Box<RawValue>>,
    /// What an `import` block names.
    #[serde(default)]
    pub(super) importing: Option<IgnoredAny>,
}

impl RawChange {
    /// Whether these are the actions.
    pub(super) fn is(&self, actions: &[&str]) -> bool {
        self.actions == actions
    }

    /// Whether there is an old value.
    pub(super) fn has_before(&self) -> bool {
        self.before.is_some()
    }

    /// Whether anything is marked as sensitive.
    pub(super) fn is_marked(&self) -> bool {
        let is_marked = |marks: &Option<Box<RawValue>>| {
            marks.as_ref().is_some_and(|marks| !matches!(marks.get(), "false" | "{}" | "[]"))
        };
        is_marked(&self.before_sensitive) || is_marked(&self.after_sensitive)
    }

    /// The values themselves.
    pub(super) fn parsed(&self) -> Result<Change, serde_json::Error> {
        let value = |raw: &Option<Box<RawValue>>| {
            raw.as_ref().map_or(Ok(Value::Null), |raw| serde_json::from_str(raw.get()))
        };
        Ok(Change {
            before: value(&self.before)?,
            after: value(&self.after)?,
            after_unknown: value(&self.after_unknown)?,
            before_sensitive: value(&self.before_sensitive)?,
            after_sensitive: value(&self.after_sensitive)?,
        })
    }

    /// The `id` and `arn` of the old value, those that it has.
    pub(super) fn identity(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct Identified {
            id: Option<Value>,
            arn: Option<Value>,
        }
        let read = |raw: &RawValue| serde_json::from_str::<Identified>(raw.get()).ok();
        let Some(found) = self.before.as_deref().and_then(read) else { return Vec::new() };
        let texts = [found.arn, found.id].into_iter().flatten();
        texts.filter_map(|it| it.as_str().filter(|it| !it.is_empty()).map(str::to_owned)).collect()
    }

    /// The `id` of the old value, where it has one.
    pub(super) fn id(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Identified {
            id: Option<String>,
        }
        serde_json::from_str::<Identified>(self.before.as_ref()?.get()).ok()?.id
    }
}

/// Values of a change.
pub(super) struct Change {
    /// The old value.
    pub(super) before: Value,
    /// The new value, without what is not known yet.
    pub(super) after: Value,
    /// What is not known yet.
    pub(super) after_unknown: Value,
    /// What is sensitive in the old value.
    pub(super) before_sensitive: Value,
    /// What is sensitive in the new value.
    pub(super) after_sensitive: Value,
}

impl Change {
    /// Notes everything that is marked.
    pub(super) fn note_secrets(&self, secrets: &mut Secrets) {
        marked(&self.before, Marks::new(Some(&self.before_sensitive)), &mut |value| secrets.note(value));
        marked(&self.after, Marks::new(Some(&self.after_sensitive)), &mut |value| secrets.note(value));
    }
}

/// An entry of `resource_drift` or `resource_changes`.
#[derive(Deserialize)]
pub(super) struct RawResource {
    /// The address, with the module and the index.
    pub(super) address: String,
    /// The address that it had in the state.
    #[serde(default)]
    pub(super) previous_address: Option<String>,
    /// `managed` or `data`.
    #[serde(default)]
    pub(super) mode: Option<String>,
    /// The type: `aws_instance`.
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    /// The key of an object that a replacement has left behind.
    #[serde(default)]
    pub(super) deposed: Option<String>,
    /// The change.
    #[serde(default)]
    pub(super) change: RawChange,
    /// Why the action was chosen.
    #[serde(default)]
    pub(super) action_reason: Option<String>,
}

/// A `check` block, or a condition of a resource or an output, and how it went.
#[derive(Deserialize)]
pub(super) struct RawCheck {
    /// What it is about.
    pub(super) address: RawCheckAddress,
    /// `pass`, `fail`, `error` or `unknown`.
    #[serde(default)]
    pub(super) status: String,
    /// Its instances.
    #[serde(default)]
    pub(super) instances: Vec<RawCheckInstance>,
}

/// What a check is about.
#[derive(Deserialize)]
pub(super) struct RawCheckAddress {
    /// `check`, `resource`, `output_value`, `var`.
    #[serde(default)]
    pub(super) kind: String,
    /// Its address.
    #[serde(default)]
    pub(super) to_display: String,
}

/// One instance of a check.
#[derive(Deserialize)]
pub(super) struct RawCheckInstance {
    /// Its failures.
    #[serde(default)]
    pub(super) problems: Vec<RawProblem>,
}

/// Why a check failed.
#[derive(Deserialize)]
pub(super) struct RawProblem {
    /// The message of the code.
    #[serde(default)]
    pub(super) message: String,
}

/// Receives what a document holds, in its order.
pub(super) trait Receive {
    /// Receives an entry of `resource_drift`.
    fn drift(&mut self, resource: &RawResource) -> Result<(), serde_json::Error>;
    /// Receives an entry of `resource_changes`.
    fn change(&mut self, resource: &RawResource) -> Result<(), serde_json::Error>;
    /// Receives an output that changes.
    fn output(&mut self, name: &str);
    /// Receives a check that was not passed.
    fn check(&mut self, check: RawCheck);
}

/// What a document says of itself; what is not in it is `None`.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// The version of the program that made the plan.
    pub(super) program: Option<String>,
    /// Whether everything could be planned.
    pub(super) complete: Option<bool>,
    /// Whether planning ended with an error.
    pub(super) errored: bool,
    /// Whether changes were put off.
    pub(super) is_deferring: bool,
    /// Whether the state held a resource when the plan was made, after it was refreshed.
    pub(super) has_prior_resources: bool,
}

/// Why a document is none that can be judged. Nothing in it is from the document: that may be a secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadDocument {
    /// It ends early.
    #[error("the JSON of the plan is cut off")]
    CutOff,
    /// It is not JSON.
    #[error("the plan is not JSON (line {0}, column {1})")]
    NotJson(usize, usize),
    /// It is JSON of another shape.
    #[error("the JSON of the plan is not of the documented form (line {0}, column {1})")]
    Form(usize, usize),
    /// It has a newer form.
    #[error("the JSON of the plan has the format {0:?}; this driftlock reads 0.2 and 1.x: update it")]
    Format(String),
    /// It tells of no plan.
    #[error("the JSON has no format_version, so it is no plan; make one with: terraform show -json PLANFILE")]
    NoPlan,
    /// It could not be read.
    #[error("the JSON of the plan could not be read")]
    Unread,
}

/// Reads a document to its end.
pub(super) fn read(
    from: impl Read,
    receive: &mut dyn Receive,
    secrets: &mut Secrets,
) -> Result<Header, BadDocument> {
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(BUFFER, from));
    let mut top = Top { receive, secrets, header: Header::default(), format: None, other_format: None };
    let done = Whole(&mut top).deserialize(&mut json).and_then(|()| json.end());
    if let Some(format) = top.other_format {
        return Err(BadDocument::Format(format.chars().take(20).collect()));
    }
    match done {
        Ok(()) if top.format.is_none() => Err(BadDocument::NoPlan),
        Ok(()) => Ok(top.header),
        Err(error) => Err(match error.classify() {
            Category::Eof => BadDocument::CutOff,
            Category::Syntax => BadDocument::NotJson(error.line(), error.column()),
            Category::Data => BadDocument::Form(error.line(), error.column()),
            Category::Io => BadDocument::Unread,
        }),
    }
}

/// What is known of the top of a document.
struct Top<'a> {
    receive: &'a mut dyn Receive,
    secrets: &'a mut Secrets,
    header: Header,
    format: Option<String>,
    other_format: Option<String>,
}

struct Whole<'a, 'b>(&'a mut Top<'b>);

impl<'de> DeserializeSeed<'de> for Whole<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plan")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let top = self.0;
        let mut variables: BTreeMap<String, Variable> = BTreeMap::new();
        let mut sensitive: Vec<String> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "format_version" => {
                    let format: String = map.next_value()?;
                    if !is_known_format(&format) {
                        top.other_format = Some(format);
                        return Err(A::Error::custom("another format"));
                    }
                    top.format = Some(format);
                }
                "terraform_version" => top.header.program = map.next_value()?,
                "complete" => top.header.complete = map.next_value()?,
                "errored" => top.header.errored = map.next_value::<Option<bool>>()?.unwrap_or(false),
                "deferred_changes" => {
                    top.header.is_deferring =
                        map.next_value::<Option<Vec<IgnoredAny>>>()?.is_some_and(|it| !it.is_empty());
                }
                "variables" => variables = map.next_value::<Option<_>>()?.unwrap_or_default(),
                "resource_drift" => {
                    map.next_value_seed(Each(&mut |resource: RawResource| top.receive.drift(&resource)))?;
                }
                "resource_changes" => {
                    map.next_value_seed(Each(&mut |resource: RawResource| top.receive.change(&resource)))?;
                }
                "output_changes" => {
                    map.next_value_seed(EachNamed(&mut |name: &str, change: RawChange| {
                        if change.is_marked() {
                            change.parsed()?.note_secrets(top.secrets);
                        }
                        if !change.is(&["no-op"]) {
                            top.receive.output(name);
                        }
                        Ok(())
                    }))?;
                }
                "prior_state" => map.next_value_seed(PriorState(top.secrets, &mut top.header))?,
                "configuration" => map.next_value_seed(Configuration(top.secrets, &mut sensitive))?,
                "checks" => map.next_value_seed(Each(&mut |check: RawCheck| {
                    if matches!(check.status.as_str(), "fail" | "error") {
                        top.receive.check(check);
                    }
                    Ok(())
                }))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let marked = variables.iter().filter(|(name, _)| sensitive.contains(name));
        marked.for_each(|(_, variable)| top.secrets.note_all(&variable.value));
        Ok(())
    }
}

/// Whether the major version is one whose form is known: 1, or the last one before it.
fn is_known_format(format: &str) -> bool {
    format == "0.2"
        || format.split_once('.').is_some_and(|(major, minor)| major == "1" && minor.parse::<u32>().is_ok())
}

#[derive(Deserialize)]
struct Variable {
    #[serde(default)]
    value: Value,
}

/// `prior_state`: the marked values of data sources and outputs; those of resources stand in `resource_changes`, too.
struct PriorState<'a>(&'a mut Secrets, &'a mut Header);
/// Its `values`.
struct StateValues<'a>(&'a mut Secrets, &'a mut Header);
/// A module of it.
struct StateModule<'a>(&'a mut Secrets, &'a mut Header);

object!(PriorState, |it, map| "values" => map.next_value_seed(StateValues(it.0, it.1))?);

object!(StateValues, |it, map|
    "outputs" => map.next_value_seed(EachNamed(&mut |_: &str, output: StateOutput| {
        if output.sensitive {
            it.0.note_all(&output.value);
        }
        Ok(())
    }))?,
    "root_module" => map.next_value_seed(StateModule(it.0, it.1))?,
);

object!(StateModule, |it, map|
    "resources" => map.next_value_seed(Each(&mut |resource: StateResource| resource.note(it.0, it.1)))?,
    "child_modules" => map.next_value_seed(StateModules(it.0, it.1))?,
);

#[derive(Deserialize)]
struct StateOutput {
    #[serde(default)]
    sensitive: bool,
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
struct StateResource {
    #[serde(default)]
    mode: String,
    #[serde(default)]
    values: Option<Box<RawValue>>,
    #[serde(default)]
    sensitive_values: Option<Box<RawValue>>,
}

impl StateResource {
    fn note(&self, secrets: &mut Secrets, header: &mut Header) -> Result<(), serde_json::Error> {
        header.has_prior_resources |= self.mode == "managed";
        let (Some(values), Some(marks)) = (&self.values, &self.sensitive_values) else { return Ok(()) };
        if self.mode == "data" && marks.get() != "{}" {
            let (value, marks): (Value, Value) =
                (serde_json::from_str(values.get())?, serde_json::from_str(marks.get())?);
            marked(&value, Marks::new(Some(&marks)), &mut |scalar| secrets.note(scalar));
        }
        Ok(())
    }
}

/// `child_modules`.
struct StateModules<'a>(&'a mut Secrets, &'a mut Header);

impl<'de> DeserializeSeed<'de> for StateModules<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for StateModules<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of modules")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(StateModule(self.0, self.1))?.is_some() {}
        Ok(())
    }
}
