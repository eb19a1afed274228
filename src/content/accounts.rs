//! The difference between two lists of accounts or groups (`passwd(5)`, `group(5)`), in words. The field of the password is
//! never shown, nor is the comment.

use std::collections::{BTreeMap, BTreeSet};

use super::change::Change;
use crate::model::escaped;

/// Groups whose members are as good as root.
const POWERFUL: [&str; 9] = ["root", "sudo", "wheel", "docker", "admin", "adm", "disk", "lxd", "shadow"];
/// How many differences are listed.
const LISTED: usize = 200;

/// The list that a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// Accounts, as in `/etc/passwd`.
    Accounts,
    /// Groups, as in `/etc/group`.
    Groups,
}

/// Fields of a line, by the name and the number of earlier lines with the same one.
type Rows<'a> = BTreeMap<(&'a str, usize), Vec<&'a str>>;

/// How alarming a difference is: the first stand first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Root,
    Power,
    New,
    Other,
}

/// Compares two lists.
pub(super) fn compare(list: List, before: &str, after: &str) -> Vec<Change> {
    let ((old, old_rest), (new, new_rest)) = (rows(list, before), rows(list, after));
    let mut said: Vec<(Alarm, Change)> = Vec::new();
    let keys: BTreeSet<&(&str, usize)> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let sides = (old.get(key), new.get(key));
        match list {
            List::Accounts => account(key, sides, &mut said),
            List::Groups => group(key, sides, &mut said),
        }
    }
    if old_rest != new_rest {
        said.push((Alarm::Root, Change::Hidden { path: "lines that are not as they must be".to_owned() }));
    }
    if said.is_empty() && before != after {
        said.push((Alarm::Other, Change::Reordered { path: "the document".to_owned() }));
    }
    said.sort_by_key(|(alarm, _)| *alarm);
    let more = said.len().saturating_sub(LISTED);
    let listed = said.into_iter().take(LISTED).map(|(_, change)| change);
    listed.chain((more > 0).then_some(Change::More(more))).collect()
}

/// The lines with as many fields as they must have, and all others.
fn rows(list: List, text: &str) -> (Rows<'_>, Vec<&str>) {
    let fields_of_line = if list == List::Accounts { 7 } else { 4 };
    let (mut rows, mut rest) = (Rows::new(), Vec::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split(':').collect();
        if fields.len() != fields_of_line {
            rest.push(line);
            continue;
        }
        let earlier = rows.range((fields[0], 0)..=(fields[0], usize::MAX)).count();
        rows.insert((fields[0], earlier), fields);
    }
    (rows, rest)
}

type Sides<'a> = (Option<&'a Vec<&'a str>>, Option<&'a Vec<&'a str>>);

fn account(key: &(&str, usize), sides: Sides<'_>, said: &mut Vec<(Alarm, Change)>) {
    let name = named(key);
    match sides {
        (None, Some(new)) => {
            let alarm = if new[2] == "0" { Alarm::Root } else { Alarm::New };
            said.push((alarm, words(format!("new account: {name} (uid {})", shown(new[2])))));
        }
        (Some(_), None) => said.push((Alarm::Other, words(format!("account gone: {name}")))),
        (Some(old), Some(new)) => {
            let fields = [(2, "uid"), (3, "gid"), (5, "home"), (6, "shell")];
            for (at, field) in fields.into_iter().filter(|(at, _)| old[*at] != new[*at]) {
                let alarm = if at < 4 && new[at] == "0" { Alarm::Root } else { Alarm::Other };
                said.push((alarm, replaced(&name, field, old[at], new[at])));
            }
            hidden(&name, old, new, &[(1, "password field"), (4, "comment")], said);
        }
        (None, None) => {}
    }
}

fn group(key: &(&str, usize), sides: Sides<'_>, said: &mut Vec<(Alarm, Change)>) {
    let name = named(key);
    let members = |side: Option<&Vec<&str>>| -> BTreeSet<String> {
        let text = side.map_or_else(String::new, |fields| fields[3].to_owned());
        text.split(',').filter(|member| !member.is_empty()).map(shown).collect()
    };
    let (old_members, new_members) = (members(sides.0), members(sides.1));
    match sides {
        (None, Some(new)) => {
            let alarm = if new[2] == "0" { Alarm::Root } else { Alarm::Other };
            said.push((alarm, words(format!("new group: {name} (gid {})", shown(new[2])))));
        }
        (Some(_), None) => return said.push((Alarm::Other, words(format!("group gone: {name}")))),
        (Some(old), Some(new)) => {
            if old[2] != new[2] {
                let alarm = if new[2] == "0" { Alarm::Root } else { Alarm::Other };
                said.push((alarm, replaced(&name, "gid", old[2], new[2])));
            }
            hidden(&name, old, new, &[(1, "password field")], said);
        }
        (None, None) => return,
    }
    let is_powerful = POWERFUL.contains(&key.0) || sides.1.is_some_and(|new| new[2] == "0");
    let alarm = if is_powerful { Alarm::Power } else { Alarm::New };
    for member in new_members.difference(&old_members) {
        said.push((alarm, words(format!("{member} is now a member of {name}"))));
    }
    for member in old_members.difference(&new_members) {
        said.push((Alarm::Other, words(format!("{member} is no longer a member of {name}"))));
    }
}

/// The name, and whether it is that of an earlier line.
fn named((name, earlier): &(&str, usize)) -> String {
    let again = if *earlier > 0 { " (in a further line)" } else { "" };
    format!("{}{again}", shown(name))
}

fn replaced(name: &str, field: &str, old: &str, new: &str) -> Change {
    words(format!("{name}: {field} {} → {}", shown(old), shown(new)))
}

fn hidden(name: &str, old: &[&str], new: &[&str], fields: &[(usize, &str)], said: &mut Vec<(Alarm, Change)>) {
    for (_, field) in fields.iter().filter(|(at, _)| old[*at] != new[*at]) {
        said.push((Alarm::Other, Change::Hidden { path: format!("{name}: {field}") }));
    }
}

fn words(text: String) -> Change {
    Change::InWords(text)
}

/// A field, escaped and cut short; an empty one is called so.
fn shown(field: &str) -> String {
    const LONGEST: usize = 64;
    if field.is_empty() {
        return "(none)".to_owned();
    }
    let text = escaped(field.as_bytes());
    if text.chars().count() <= LONGEST { text } else { text.chars().take(LONGEST).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNTS: &str = "root:x:0:0:root:/root:/bin/bash\nodoo:x:999:999:Odoo:/opt/odoo:/bin/sh\n";
    const GROUPS: &str = "root:x:0:\nsudo:x:27:admin\ndocker:x:998:\nodoo:x:999:\n";

    fn told(list: List, before: &str, after: &str) -> Vec<String> {
        compare(list, before, after).iter().map(Change::to_string).collect()
    }

    #[test]
    fn accounts_are_told_in_words_and_root_comes_first() {
        let after =
            format!("{ACCOUNTS}anna:hash:1000:1000:Anna,1234:/home/anna:/bin/bash\nzed:x:0:0::/:/bin/sh\n");
        assert_eq!(
            told(List::Accounts, ACCOUNTS, &after),
            ["new account: zed (uid 0)", "new account: anna (uid 1000)"]
        );
        assert_eq!(told(List::Accounts, &after, ACCOUNTS), ["account gone: anna", "account gone: zed"]);
        let after = ACCOUNTS.replace("/bin/sh", "/bin/bash").replace("999:999:Odoo", "0:999:Secret");
        assert_eq!(
            told(List::Accounts, ACCOUNTS, &after),
            ["odoo: uid 999 → 0", "odoo: shell /bin/sh → /bin/bash", "odoo: comment: (changed)"]
        );
    }

    #[test]
    fn the_password_field_is_never_told() {
        let after = ACCOUNTS.replace("odoo:x", "odoo:$6$hunter2");
        assert_eq!(told(List::Accounts, ACCOUNTS, &after), ["odoo: password field: (changed)"]);
        let after = GROUPS.replace("sudo:x", "sudo:$6$hunter2");
        assert_eq!(told(List::Groups, GROUPS, &after), ["sudo: password field: (changed)"]);
        let odd = format!("{ACCOUNTS}hunter2:$6$\n");
        assert_eq!(told(List::Accounts, ACCOUNTS, &odd), ["lines that are not as they must be: (changed)"]);
    }

    #[test]
    fn members_are_told_and_those_of_powerful_groups_come_first() {
        let after = GROUPS.replace("odoo:x:999:", "odoo:x:999:anna").replace("27:admin", "27:anna,admin");
        let after = after.replace("998:", "998:anna");
        assert_eq!(
            told(List::Groups, GROUPS, &after),
            [
                "anna is now a member of docker",
                "anna is now a member of sudo",
                "anna is now a member of odoo"
            ]
        );
        assert_eq!(told(List::Groups, &after, GROUPS).len(), 3);
        let after = format!("{}dev:x:1001:anna\n", GROUPS.replace("docker:x:998:\n", ""));
        assert_eq!(
            told(List::Groups, GROUPS, &after),
            ["anna is now a member of dev", "new group: dev (gid 1001)", "group gone: docker"]
        );
    }

    #[test]
    fn a_second_line_of_a_name_and_another_order_are_told() {
        let after = format!("{ACCOUNTS}odoo:x:0:0::/:/bin/sh\n");
        assert_eq!(told(List::Accounts, ACCOUNTS, &after), ["new account: odoo (in a further line) (uid 0)"]);
        let mut lines: Vec<&str> = ACCOUNTS.lines().collect();
        lines.reverse();
        assert_eq!(
            told(List::Accounts, ACCOUNTS, &(lines.join("\n") + "\n")),
            ["the document: order changed"]
        );
        assert_eq!(told(List::Accounts, "", "a\x1b:x:1:1::/:\n"), ["new account: a\\x1b (uid 1)"]);
    }
}
