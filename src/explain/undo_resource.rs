//! The ways out of a difference of infrastructure: apply the code, take what is there into the state, or change the code.

use super::situation::Situation;
use crate::model::{Change, Kind, WayOut, escaped, quoted};

/// The ways out of a finding of a plan, and what must be known of them.
pub(super) fn advise(situation: &Situation<'_>) -> (Vec<WayOut>, Vec<String>) {
    let Some((terraform, options)) = situation.terraform else { return Default::default() };
    let finding = situation.finding;
    let key = escaped(&finding.subject.key);
    let address = key.split_once(':').map_or(key.as_str(), |(_, address)| address);
    let place = match finding.line {
        Some(line) => format!("{}:{line}", escaped(&finding.place)),
        None => "the code".to_owned(),
    };
    let apply =
        || WayOut::new(WayOut::UNDO, format!("{terraform} apply{options} -target={}", quoted(address)));
    match (finding.kind, finding.change) {
        (Kind::Unexpected, _) => {
            let id = address.split_once(' ').map_or(address, |(_, id)| id);
            let import = format!("{terraform} import{options} ADDRESS {}", quoted(id));
            let note =
                "to import it, declare a resource for it first, and put its address for ADDRESS".to_owned();
            (vec![WayOut::new("it belongs to this environment", import)], vec![note])
        }
        (Kind::Missing, _) => {
            let forget = format!("{terraform} state rm {}", quoted(address));
            (vec![apply(), WayOut::new("it is meant to be gone, and the code, too", forget)], Vec::new())
        }
        (_, Some(Change::Kept)) => {
            let refresh = format!("{terraform} apply -refresh-only{options} -target={}", quoted(address));
            let note =
                format!("no apply sets it back: undo it where it was changed, or declare it in {place}");
            (vec![WayOut::new("it was meant, and the code says so", refresh)], vec![note])
        }
        (_, Some(Change::Reverted | Change::Conflicting)) => {
            let note = format!("it was meant: change {place}, and plan again");
            (vec![apply()], vec![note])
        }
        (_, Some(Change::Pending)) => {
            let note = format!("it was not meant: change {place}, and plan again");
            (vec![apply()], vec![note])
        }
        _ => Default::default(),
    }
}
