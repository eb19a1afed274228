//! Policies of the API: those of each project, and those that were made here, in a file of the state directory whose comments stay.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::agent::Agent;
use super::api::no_run;
use super::http::Deed;
use super::refusal::Refusal;
use crate::atomic::{hold_alone, replace_file_held};
use crate::config::is_target_name;
use crate::config::policies::{self, POLICIES, PolicyForm};
use crate::control::waits;
use crate::error::Failure;
use crate::model::escaped;

/// How a new file begins.
const HEAD: &str =
    "# Policies that the API of driftlock serve made; they are matched after those of the project.\n";
/// The name of the array.
const KEY: &str = "policy";
/// The longest name of a policy.
const LONGEST_NAME: usize = 64;

/// Where a policy comes from.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum PolicySource {
    /// A file of the project, which people edit.
    Project,
    /// The API.
    Api,
}

/// A policy of a deployment.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct PolicyView {
    /// The deployment.
    deployment: String,
    /// Where it comes from.
    source: PolicySource,
    /// The policy.
    policy: PolicyForm,
}

/// All policies, by deployment, in the order in which they are matched.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct PolicyList {
    /// The policies.
    policies: Vec<PolicyView>,
}

/// A new policy.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyBody {
    /// The deployment; it may be left out where there is one alone.
    deployment: Option<String>,
    /// The policy.
    policy: PolicyForm,
}

/// Changes of a policy (RFC 7396): keys that are left out stay as they are, and those that are null go.
#[derive(Debug, Deserialize)]
pub(crate) struct PolicyPatch(pub(crate) Map<String, Json>);

/// The policies of all deployments.
pub(crate) fn list(agent: &Agent) -> Result<PolicyList, Refusal> {
    let mut policies = Vec::new();
    for deployment in names(agent) {
        let read = |root: &Path| policies::text_of(root).and_then(|text| policies::forms(&text));
        let root = agent.policies_root(&deployment);
        let of_project = root.map(|root| read(&root)).transpose().map_err(broken)?;
        let own = read(&agent.store_root(&deployment)).map_err(broken)?;
        let view = |source| {
            let deployment = deployment.clone();
            move |policy| PolicyView { deployment: deployment.clone(), source, policy }
        };
        policies.extend(of_project.into_iter().flatten().map(view(PolicySource::Project)));
        policies.extend(own.into_iter().map(view(PolicySource::Api)));
    }
    Ok(PolicyList { policies })
}

fn broken(error: crate::config::ConfigError) -> Refusal {
    Failure::from(error).into()
}

fn names(agent: &Agent) -> Vec<String> {
    agent.plan().deployments.iter().map(|deployment| deployment.name.clone()).collect()
}

/// Adds a policy behind those that there are.
pub(crate) fn add(agent: &Agent, body: PolicyBody, deed: &Deed) -> Result<PolicyView, Refusal> {
    let PolicyBody { deployment, policy } = body;
    if !is_target_name(&policy.name) || policy.name.len() > LONGEST_NAME {
        return Err(Refusal::Senseless(format!(
            "name: letters, digits, dots, dashes and underscores, {LONGEST_NAME} at most, a letter or digit first"
        )));
    }
    let all = names(agent);
    let deployment = match (deployment, all.as_slice()) {
        (Some(name), _) if all.contains(&name) => name,
        (Some(name), _) => {
            let name = escaped(name.as_bytes());
            return Err(Refusal::Unknown(format!("no deployment is called \"{name}\"")));
        }
        (None, [one]) => one.clone(),
        (None, _) => {
            return Err(Refusal::Conflict(format!(
                "there are several deployments: name one of {}",
                all.join(", ")
            )));
        }
    };
    let name = policy.name.clone();
    edit(agent, &deployment, deed, |text, of_project| {
        let is_it = |other: &PolicyForm| other.name == name;
        if of_project.iter().any(is_it) || policies::forms(text).map_err(broken)?.iter().any(is_it) {
            return Err(Refusal::Conflict(format!(
                "{deployment} has a policy {name} already: change that one"
            )));
        }
        let fields = as_object(&policy)?;
        appended(text, &fields)
    })?;
    Ok(PolicyView { deployment, source: PolicySource::Api, policy })
}

/// Changes a policy that the API made, of a deployment where one is named.
pub(crate) fn patch(
    agent: &Agent,
    name: &str,
    deployment: Option<&str>,
    patch: &PolicyPatch,
    deed: &Deed,
) -> Result<PolicyView, Refusal> {
    if patch.0.contains_key("name") {
        return Err(Refusal::Senseless("name: a policy keeps its name".to_owned()));
    }
    let is_it = |view: &PolicyView| {
        view.policy.name == name && deployment.is_none_or(|deployment| deployment == view.deployment)
    };
    let found: Vec<PolicyView> = list(agent)?.policies.into_iter().filter(is_it).collect();
    let own: Vec<&PolicyView> = found.iter().filter(|it| matches!(it.source, PolicySource::Api)).collect();
    let deployment = match own.as_slice() {
        [one] => one.deployment.clone(),
        [] if found.is_empty() => {
            return Err(Refusal::Unknown("there is no policy of this name".to_owned()));
        }
        [] => {
            return Err(Refusal::Conflict(format!(
                "it stands in {POLICIES} of the project: change it there, and commit that"
            )));
        }
        several => {
            let its: Vec<&str> = several.iter().map(|it| it.deployment.as_str()).collect();
            return Err(Refusal::Conflict(format!(
                "several deployments have a policy of this name: add ?deployment= with one of {}",
                its.join(", ")
            )));
        }
    };
    let mut changed = None;
    edit(agent, &deployment, deed, |text, _| {
        let new = patched(text, name, &patch.0)?;
        changed = policies::forms(&new).ok().and_then(|all| all.into_iter().find(|it| it.name == name));
        Ok(new)
    })?;
    let policy = changed.ok_or_else(|| Refusal::Unknown("there is no policy of this name".to_owned()))?;
    Ok(PolicyView { deployment, source: PolicySource::Api, policy })
}

/// Changes the file of a deployment, where what comes of it has sense.
fn edit(
    agent: &Agent,
    deployment: &str,
    deed: &Deed,
    change: impl FnOnce(&str, &[PolicyForm]) -> Result<String, Refusal>,
) -> Result<(), Refusal> {
    let project = agent.project(deployment).ok_or_else(no_run)?;
    let of_project =
        policies::text_of(&project.root).and_then(|text| policies::forms(&text)).map_err(broken)?;
    let store_root = agent.store_root(deployment);
    let path = store_root.join(POLICIES);
    let dir = path.parent().unwrap_or(&store_root);
    let at = |error: std::io::Error| Refusal::from(Failure::at(&path, &error));
    std::fs::create_dir_all(dir).map_err(at)?;
    let _alone = hold_alone(dir, waits::ACKNOWLEDGED.most).map_err(|errno| match errno {
        rustix::io::Errno::WOULDBLOCK => {
            Refusal::Conflict("another process is writing the policies: try again".to_owned())
        }
        errno => at(errno.into()),
    })?;
    let text = policies::text_of(&store_root).map_err(broken)?;
    let new = change(&text, &of_project)?;
    policies::parse(&new, &project.config).map_err(|error| Refusal::Senseless(error.to_string()))?;
    deed.begin()?;
    replace_file_held(&path, new.as_bytes()).map_err(at)
}

fn as_object(policy: &PolicyForm) -> Result<Map<String, Json>, Refusal> {
    match serde_json::to_value(policy) {
        Ok(Json::Object(fields)) => Ok(fields),
        _ => Err(Refusal::Broken("a policy could not be written".to_owned())),
    }
}

/// A text with one policy more, before which nothing moves.
fn appended(text: &str, fields: &Map<String, Json>) -> Result<String, Refusal> {
    let mut table = Table::new();
    merge(&mut table, fields)?;
    let mut tables = ArrayOfTables::new();
    tables.push(table);
    let mut document = DocumentMut::new();
    document.insert(KEY, Item::ArrayOfTables(tables));
    let mut new = if text.is_empty() { HEAD.to_owned() } else { text.to_owned() };
    if !new.ends_with('\n') {
        new.push('\n');
    }
    Ok(new + "\n" + document.to_string().trim_start())
}

/// A text in which a policy is changed, and nothing else.
fn patched(text: &str, name: &str, patch: &Map<String, Json>) -> Result<String, Refusal> {
    let other_form = || {
        Refusal::Conflict(format!(
            "{POLICIES} of the state directory is not written as [[{KEY}]]: edit it there"
        ))
    };
    let mut document: DocumentMut = text.parse().map_err(|_| other_form())?;
    let tables = document.get_mut(KEY).and_then(Item::as_array_of_tables_mut).ok_or_else(other_form)?;
    let is_it = |table: &&mut Table| table.get("name").and_then(Item::as_str) == Some(name);
    let table = tables.iter_mut().find(is_it).ok_or_else(other_form)?;
    merge(table, patch)?;
    Ok(document.to_string())
}

/// Puts keys and values into a table; a null takes its key away, and comments stay.
fn merge(table: &mut dyn TableLike, patch: &Map<String, Json>) -> Result<(), Refusal> {
    for (key, value) in patch {
        match value {
            Json::Null => {
                table.remove(key);
            }
            Json::Object(inner) => {
                if table.get(key).is_none_or(|item| !item.is_table_like()) {
                    table.insert(key, Item::Value(Value::InlineTable(InlineTable::new())));
                }
                if let Some(inside) = table.get_mut(key).and_then(Item::as_table_like_mut) {
                    merge(inside, inner)?;
                }
            }
            value => set(table, key, written(value)?),
        }
    }
    Ok(())
}

/// Sets a value, with the comment behind it as it was.
fn set(table: &mut dyn TableLike, key: &str, value: Value) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = value;
            *old.decor_mut() = decor;
        }
        None => {
            table.insert(key, Item::Value(value));
        }
    }
}

/// A value as TOML has it; a number stays one, so that no text comes of it.
fn written(value: &Json) -> Result<Value, Refusal> {
    Ok(match value {
        Json::Bool(is) => Value::from(*is),
        Json::Array(all) => Value::Array(all.iter().map(written).collect::<Result<_, _>>()?),
        Json::String(text) => Value::from(text.as_str()),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::from(whole),
            None => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::Null | Json::Object(_) => {
            return Err(Refusal::Senseless("policy: a list holds texts alone".to_owned()));
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Json) -> Map<String, Json> {
        let Json::Object(fields) = value else { panic!("{value}") };
        fields
    }

    #[test]
    fn comments_and_order_stay_where_a_policy_comes_or_changes() {
        let hot =
            json!({"name": "hot", "match": {"check": ["addon_*"], "subject": "qr_*"}, "severity": "high"});
        let first = appended("", &object(hot)).unwrap();
        assert!(first.starts_with(HEAD), "{first}");
        let edited =
            first.replace("[[policy]]", "# why\n[[policy]]").replace("\"high\"", "\"high\"  # for now");
        let both = appended(&edited, &object(json!({"name": "rest", "auto_remediate": false}))).unwrap();
        assert!(both.starts_with(&edited), "{both}");
        let change =
            json!({"severity": "low", "match": {"subject": null, "target": "prod"}, "quiet": "22:00-06:00"});
        let changed = patched(&both, "hot", &object(change)).unwrap();
        assert!(changed.contains("# why\n") && changed.contains("\"low\"  # for now"), "{changed}");
        assert!(changed.contains("target = \"prod\"") && !changed.contains("qr_"), "{changed}");
        assert!(changed.contains("name = \"rest\""), "{changed}");
        let config = crate::config::Config::parse("").unwrap();
        assert_eq!(policies::parse(&changed, &config).unwrap().len(), 2);
        assert!(patched(&both, "none", &Map::new()).is_err());
        assert!(patched("policy = [{ name = \"hot\" }]\n", "hot", &Map::new()).is_err());
    }

    #[test]
    fn nothing_that_is_sent_becomes_a_key_of_its_own() {
        let hostile = "x\"\n[[policy]]\nname = \"y";
        let text =
            appended("", &object(json!({"name": "a", "notify": [hostile], "quiet": hostile}))).unwrap();
        let all = policies::forms(&text).unwrap();
        assert_eq!(all.len(), 1, "{text}");
        for odd in
            [json!({"match": {"subject": 5}}), json!({"match": {"target": [1.5]}}), json!({"quiet": true})]
        {
            let changed = patched(&text, "a", &object(odd.clone())).unwrap();
            assert!(policies::forms(&changed).is_err(), "{odd}: {changed}");
        }
        assert!(patched(&text, "a", &object(json!({"notify": [null]}))).is_err());
    }
}
