//! Plans in words, for `--dry-run`.

use crate::host::{Query, Select};
use crate::model::escaped;
use crate::section::{Plan, Section};

/// What a plan means, for `--dry-run`.
pub(crate) fn describe(section: &dyn Section, plan: &Plan) -> String {
    let (select, named) = match plan {
        Plan::Off(why) => return format!("{}: off ({why})\n", section.id()),
        Plan::Skip(why) => return format!("{}: skipped ({why})\n", section.id()),
        Plan::Ask(Query::Files(query)) => (&query.select, query.named.len()),
        Plan::Ask(Query::Modules(query)) => (&query.select, query.named.len()),
        Plan::Ask(Query::Containers(query)) => (&Select::Patterns(query.patterns.clone()), query.named.len()),
        Plan::Ask(Query::System(query)) => {
            return format!("{}: {}\n", section.id(), escaped(query.in_short().as_bytes()));
        }
    };
    let how = match select {
        Select::Patterns(globs) => globs
            .iter()
            .map(|glob| format!("\"{}\"", escaped(glob.text().as_bytes())))
            .collect::<Vec<_>>()
            .join(", "),
        Select::Detect => "whatever detection finds".to_owned(),
        Select::Named => "what the baseline names".to_owned(),
    };
    let (_, many) = section.meta().nouns;
    format!("{}: {many} matching {how}; {named} named by the baseline\n", section.id())
}
