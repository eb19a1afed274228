//! The ways out of a difference between a database of Odoo and the disk: words alone, for Odoo itself changes its database.

use crate::model::{Change, Finding, Kind, escaped, quoted};

/// What brings a database and the disk together; run where Odoo runs.
pub(super) fn notes(finding: &Finding) -> Vec<String> {
    let key = escaped(&finding.subject.key);
    let Some((database, module)) = key.rsplit_once(':') else { return Vec::new() };
    let is_plain = !module.is_empty() && module.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let module = if is_plain { module } else { "MODULE" };
    let database = if database.starts_with('-') { "DATABASE".to_owned() } else { quoted(database) };
    let odoo = |option: &str| format!("odoo {option} {module} -d {database} --stop-after-init");
    let state = finding.actual.text().unwrap_or_default();
    let way = match (finding.kind, finding.change) {
        (Kind::Missing, _) => "deploy the module again, or uninstall it under Apps".to_owned(),
        (_, Some(Change::State)) if state.ends_with("to install") => odoo("-i"),
        (_, Some(Change::State)) if state.ends_with("to remove") => {
            "cancel it under Apps, or let Odoo finish by starting it anew".to_owned()
        }
        (_, Some(Change::Content)) => {
            format!("raise the version in its manifest with the change, and: {}", odoo("-u"))
        }
        (_, Some(_)) => odoo("-u"),
        _ => return Vec::new(),
    };
    vec![format!("to bring the database and the disk together, where Odoo runs: {way}")]
}
