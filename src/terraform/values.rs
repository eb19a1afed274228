//! Values of attributes: which are equal, and what differs between two of them, attribute by attribute.
//!
//! Of a plan's JSON (<https://developer.hashicorp.com/terraform/internals/json-format>) sets, lists and tuples are arrays
//! alike. Terraform writes the elements of a set in one order, so an array whose order alone differs is a list.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Part of a value: where it is sensitive, or known only after the next apply. The shape is that of `before_sensitive`,
/// `after_sensitive` and `after_unknown` of a plan: `true` for the whole, an object or array for parts, `false` or nothing
/// for none.
#[derive(Clone, Copy)]
pub(super) struct Marks<'a>(Option<&'a Value>);

impl<'a> Marks<'a> {
    /// The marks that a plan gives; `None` for none.
    pub(super) fn new(marks: Option<&'a Value>) -> Self {
        Self(marks)
    }

    /// Whether the whole is marked.
    fn is_whole(self) -> bool {
        self.0 == Some(&Value::Bool(true))
    }

    /// Whether anything in it is marked.
    pub(super) fn is_any(self) -> bool {
        fn any(marks: &Value) -> bool {
            match marks {
                Value::Bool(marked) => *marked,
                Value::Array(items) => items.iter().any(any),
                Value::Object(fields) => fields.values().any(any),
                _ => false,
            }
        }
        self.0.is_some_and(any)
    }

    fn field(self, name: &str) -> Self {
        if self.is_whole() { self } else { Self(self.0.and_then(|marks| marks.get(name))) }
    }

    fn item(self, at: usize) -> Self {
        if self.is_whole() { self } else { Self(self.0.and_then(|marks| marks.get(at))) }
    }
}

/// Calls `take` with every scalar that is marked, as text. An array that holds a mark is taken whole: a set loses the place
/// of its marks.
pub(super) fn marked<'a>(value: &'a Value, marks: Marks<'_>, take: &mut dyn FnMut(&'a Value)) {
    match value {
        _ if marks.is_whole() => scalars(value, take),
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| marked(value, marks.field(name), take));
        }
        Value::Array(_) if marks.is_any() => scalars(value, take),
        _ => {}
    }
}

/// Calls `take` with every scalar in a value.
pub(super) fn scalars<'a>(value: &'a Value, take: &mut dyn FnMut(&'a Value)) {
    match value {
        Value::Object(fields) => fields.values().for_each(|value| scalars(value, take)),
        Value::Array(items) => items.iter().for_each(|value| scalars(value, take)),
        other => take(other),
    }
}

/// One attribute that differs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    /// Its path: `tags.Name`, `ebs_block_device[0].size`.
    pub(super) path: String,
    /// The old value; of elements those that are gone.
    pub(super) old: Value,
    /// The new value; of elements those that came.
    pub(super) new: Value,
    /// Whether `old` and `new` are elements of a set or list that differ, rather than the whole value.
    pub(super) is_elements: bool,
    /// Whether it must not be shown.
    pub(super) is_sensitive: bool,
}

/// What differs between two values.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// The attributes that differ.
    pub(super) all: Vec<Difference>,
    /// The attributes whose new value is known only after the next apply.
    pub(super) unknown: Vec<String>,
    /// How many attributes differ in nothing but how an empty value is written.
    pub(super) noise: u64,
}

/// The old and the new value, and what is marked in each.
#[derive(Clone, Copy)]
pub(super) struct Sides<'a> {
    /// The old value.
    pub(super) old: &'a Value,
    /// The new value.
    pub(super) new: &'a Value,
    /// What is sensitive in the old value.
    pub(super) old_sensitive: Marks<'a>,
    /// What is sensitive in the new value.
    pub(super) new_sensitive: Marks<'a>,
    /// What of the new value is not known yet.
    pub(super) unknown: Marks<'a>,
}

impl Differences {
    /// Compares two values.
    pub(super) fn between(sides: Sides<'_>) -> Self {
        let mut found = Self::default();
        found.compare(String::new(), sides);
        found
    }

    fn compare(&mut self, path: String, sides: Sides<'_>) {
        let Sides { old, new, unknown, .. } = sides;
        if unknown.is_whole() {
            self.unknown.push(path);
            return;
        }
        if old == new && !unknown.is_any() {
            return;
        }
        if is_blank(old) && is_blank(new) && !unknown.is_any() {
            self.noise += 1;
            return;
        }
        let is_whole = sides.old_sensitive.is_whole() || sides.new_sensitive.is_whole();
        match (old, new) {
            _ if is_whole => self.put(path, sides, true),
            (Value::Object(_) | Value::Null, Value::Object(_) | Value::Null) => self.objects(&path, sides),
            (Value::Array(_) | Value::Null, Value::Array(_) | Value::Null) => self.arrays(path, sides),
            _ => self.put(path, sides, sides.old_sensitive.is_any() || sides.new_sensitive.is_any()),
        }
    }

    /// Compares objects, or an object with nothing, key by key.
    fn objects(&mut self, path: &str, sides: Sides<'_>) {
        let names: BTreeSet<&str> = [Some(sides.old), Some(sides.new), sides.unknown.0]
            .into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .flat_map(|fields| fields.keys().map(String::as_str))
            .collect();
        for name in names {
            self.compare(
                joined(path, name),
                Sides {
                    old: sides.old.get(name).unwrap_or(&Value::Null),
                    new: sides.new.get(name).unwrap_or(&Value::Null),
                    old_sensitive: sides.old_sensitive.field(name),
                    new_sensitive: sides.new_sensitive.field(name),
                    unknown: sides.unknown.field(name),
                },
            );
        }
    }

    /// Compares arrays: a single block of each side attribute by attribute, others element by element.
    fn arrays(&mut self, path: String, sides: Sides<'_>) {
        let none = Vec::new();
        let items = |value: &'_ Value| value.as_array().map_or(0, Vec::len);
        if sides.unknown.is_any() && (items(sides.old) != 1 || items(sides.new) != 1) {
            self.unknown.push(path);
            return;
        }
        let is_sensitive = sides.old_sensitive.is_any() || sides.new_sensitive.is_any();
        let (old, new) = (sides.old.as_array().unwrap_or(&none), sides.new.as_array().unwrap_or(&none));
        if let ([before @ Value::Object(_)], [after @ Value::Object(_)]) = (old.as_slice(), new.as_slice())
            && !is_sensitive
        {
            let unknown = sides.unknown.item(0);
            return self.objects(&format!("{path}[0]"), Sides { old: before, new: after, unknown, ..sides });
        }
        let (gone, came) = unmatched(old, new);
        let is_elements = !(gone.is_empty() && came.is_empty());
        if is_elements || old.len() > 1 {
            let (before, after) = if is_elements { (gone, came) } else { (old.clone(), new.clone()) };
            if !is_elements && old.iter().map(canonical).eq(new.iter().map(canonical)) {
                self.noise += 1;
                return;
            }
            let (old, new) = (Value::Array(before), Value::Array(after));
            self.all.push(Difference { path, old, new, is_elements, is_sensitive });
        } else {
            self.noise += 1;
        }
    }

    fn put(&mut self, path: String, sides: Sides<'_>, is_sensitive: bool) {
        if canonical(sides.old) == canonical(sides.new) {
            self.noise += 1;
            return;
        }
        let (old, new) = (sides.old.clone(), sides.new.clone());
        self.all.push(Difference { path, old, new, is_elements: false, is_sensitive });
    }
}

/// The elements of each side that the other one does not have, whatever their order.
fn unmatched(old: &[Value], new: &[Value]) -> (Vec<Value>, Vec<Value>) {
    let mut count: BTreeMap<String, i64> = BTreeMap::new();
    let texts = |items: &[Value]| items.iter().map(canonical).collect::<Vec<String>>();
    let (of_old, of_new) = (texts(old), texts(new));
    for text in &of_old {
        *count.entry(text.clone()).or_default() += 1;
    }
    for text in &of_new {
        *count.entry(text.clone()).or_default() -= 1;
    }
    let mut left = count.clone();
    let mut take = |items: &[Value], texts: &[String], sign: i64| {
        let mut taken = Vec::new();
        for (item, text) in items.iter().zip(texts) {
            if let Some(count) = left.get_mut(text)
                && *count * sign > 0
            {
                *count -= sign;
                taken.push(item.clone());
            }
        }
        taken
    };
    (take(old, &of_old, 1), take(new, &of_new, -1))
}

/// Whether a value is one of the ways to write nothing.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_blank),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A value as text that is the same for equal values: keys are sorted, and what is blank is left out.
pub(super) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value);
    text
}

fn write(text: &mut String, value: &Value) {
    match value {
        _ if is_blank(value) => *text += "null",
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write(text, item);
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().filter(|(_, it)| !is_blank(it)).collect();
            text.push('{');
            for (name, value) in sorted {
                *text += &Value::String(name.clone()).to_string();
                text.push(':');
                write(text, value);
                text.push(',');
            }
            text.push('}');
        }
        scalar => *text += &scalar.to_string(),
    }
}

/// The path of a field: `tags.Name`, `tags["a b"]`.
fn joined(path: &str, name: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if name.is_empty() || !name.bytes().all(is_plain) {
        return format!("{path}[{}]", Value::String(name.to_owned()));
    }
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Whether one of two paths is the other one or lies above it.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let rest = long.strip_prefix(short);
    short.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn differences(old: &Value, new: &Value) -> Differences {
        let none = Marks::new(None);
        let marks = (none, none, none);
        Differences::between(Sides {
            old,
            new,
            old_sensitive: marks.0,
            new_sensitive: marks.1,
            unknown: marks.2,
        })
    }

    fn paths(old: &Value, new: &Value) -> Vec<String> {
        differences(old, new).all.into_iter().map(|it| it.path).collect()
    }

    #[test]
    fn ways_to_write_nothing_are_equal() {
        let blanks = [json!(null), json!(""), json!([]), json!({}), json!({"a": null, "b": {"c": ""}})];
        for old in &blanks {
            for new in &blanks {
                let found = differences(&json!({"x": old}), &json!({"x": new}));
                assert_eq!(found.all, [], "{old} {new}");
                assert!(old == new || found.noise > 0, "{old} {new} is counted");
            }
            for other in [json!(false), json!(0), json!("0"), json!([null]), json!([{}])] {
                assert_eq!(paths(&json!({"x": old}), &json!({"x": other})), ["x"], "{old} {other}");
            }
        }
    }

    #[test]
    fn attributes_are_named_by_their_path() {
        let old = json!({"tags": {"Name": "a", "a b": "1"}, "disk": [{"size": 8}], "n": 1});
        let new = json!({"tags": {"Name": "b", "a b": "2"}, "disk": [{"size": 9}], "n": 1});
        assert_eq!(paths(&old, &new), ["disk[0].size", "tags.Name", "tags[\"a b\"]"]);
    }

    #[test]
    fn elements_are_told_one_by_one_whatever_their_order() {
        let rule = |port: u16| json!({"from_port": port, "description": null});
        let same = json!({"from_port": 80, "description": ""});
        let found = differences(
            &json!({"ingress": [rule(80), rule(443)]}),
            &json!({"ingress": [rule(22), rule(443), same]}),
        );
        let expected = Difference {
            path: "ingress".to_owned(),
            old: json!([]),
            new: json!([rule(22)]),
            is_elements: true,
            is_sensitive: false,
        };
        assert_eq!(found.all, [expected]);
        let twice = differences(&json!({"l": ["a", "a"]}), &json!({"l": ["a"]}));
        assert_eq!((&twice.all[0].old, &twice.all[0].new), (&json!(["a"]), &json!([])));
    }

    #[test]
    fn a_list_in_another_order_differs() {
        let found = differences(&json!({"l": ["b", "a"]}), &json!({"l": ["a", "b"]}));
        assert_eq!((found.all.len(), found.all[0].is_elements), (1, false));
    }

    #[test]
    fn what_is_known_only_after_the_apply_is_left_out() {
        let unknown = json!({"id": true, "tags": {"x": true}, "disk": [{"id": true}]});
        let (old, new) = (
            json!({"id": "1", "tags": {"x": "1", "y": "1"}, "disk": [{"id": 1, "size": 8}]}),
            json!({"tags": {"y": "2"}, "disk": [{"size": 9}]}),
        );
        let none = Marks::new(None);
        let marks = Marks::new(Some(&unknown));
        let found = Differences::between(Sides {
            old: &old,
            new: &new,
            old_sensitive: none,
            new_sensitive: none,
            unknown: marks,
        });
        let paths: Vec<&str> = found.all.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths, ["disk[0].size", "tags.y"]);
        assert_eq!(found.unknown, ["disk[0].id", "id", "tags.x"]);
    }

    #[test]
    fn a_mark_in_a_set_hides_the_whole_set() {
        let marks = json!({"rules": [{"secret": true}], "plain": false});
        let (old, new) =
            (json!({"rules": [{"a": "1"}], "plain": "x"}), json!({"rules": [{"a": "2"}], "plain": "y"}));
        let (none, marks) = (Marks::new(None), Marks::new(Some(&marks)));
        let found = Differences::between(Sides {
            old: &old,
            new: &new,
            old_sensitive: none,
            new_sensitive: marks,
            unknown: none,
        });
        let told: Vec<(&str, bool)> =
            found.all.iter().map(|it| (it.path.as_str(), it.is_sensitive)).collect();
        assert_eq!(told, [("plain", false), ("rules", true)]);
        let mut taken = Vec::new();
        marked(&new, marks, &mut |value| taken.push(value.clone()));
        assert_eq!(taken, [json!("2")]);
    }

    #[test]
    fn paths_overlap_where_one_lies_above_the_other() {
        assert!(overlap("a", "a.b") && overlap("a[0].b", "a") && overlap("", "x") && overlap("a", "a"));
        assert!(!overlap("a", "ab") && !overlap("a.b", "a.c"));
    }
}
