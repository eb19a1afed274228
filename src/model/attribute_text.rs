//! Attributes of a resource in a line: `ingress: + tcp 22 0.0.0.0/0`.

use serde_json::{Map, Value};

use super::Attribute;

/// How many characters of a value a line shows.
const LONGEST: usize = 120;

impl Attribute {
    /// The lines that tell of it: one, or one for each element.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let path = &self.path;
        if self.sensitive {
            return vec![format!("{path}: (sensitive) differs")];
        }
        if let (Some(old), Some(new)) = (&self.old, &self.new) {
            let (old, new) = (attribute_value(old), attribute_value(new));
            let (old, new) = around_difference(&old, &new);
            return vec![format!("{path}: {old} → {new}")];
        }
        let line =
            |sign: char| move |value: &Value| format!("{path}: {sign} {}", cut(&attribute_value(value)));
        self.removed.iter().map(line('-')).chain(self.added.iter().map(line('+'))).collect()
    }
}

/// A value in a line: text as it is, a rule as `tcp 22 0.0.0.0/0`, other blocks without what is blank.
#[must_use]
pub fn attribute_value(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) if text.is_empty() => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "nothing".to_owned(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(attribute_value).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => rule(fields).unwrap_or_else(|| {
            let told = fields.iter().filter(|(_, value)| !is_nothing(value));
            let told: Vec<String> =
                told.map(|(name, value)| format!("{name}={}", attribute_value(value))).collect();
            format!("{{{}}}", told.join(" "))
        }),
        scalar => scalar.to_string(),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// A rule of a firewall, as AWS spells it: protocol, ports, who.
fn rule(fields: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| fields.get(name).filter(|value| !is_nothing(value)).map(attribute_value);
    let (protocol, from, to) = (text("protocol")?, text("from_port")?, text("to_port")?);
    let ports = if from == to { from } else { format!("{from}-{to}") };
    let mut words = match protocol.as_str() {
        "-1" => vec!["all".to_owned()],
        _ => vec![protocol, ports],
    };
    for name in ["cidr_blocks", "ipv6_cidr_blocks", "prefix_list_ids", "security_groups"] {
        let many = fields.get(name).and_then(Value::as_array).into_iter().flatten();
        words.extend(many.map(attribute_value));
    }
    if fields.get("self") == Some(&Value::Bool(true)) {
        words.push("self".to_owned());
    }
    words.extend(text("description").map(|text| format!("({text})")));
    Some(words.join(" "))
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

/// Two long texts from shortly before the first place where they differ.
fn around_difference(old: &str, new: &str) -> (String, String) {
    if old.chars().count().max(new.chars().count()) <= LONGEST {
        return (old.to_owned(), new.to_owned());
    }
    let same = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(20);
    let part = |text: &str| {
        let start = if from > 0 { "…" } else { "" };
        let rest: String = text.chars().skip(from).collect();
        format!("{start}{}", cut(&rest))
    };
    (part(old), part(new))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whole(old: Value, new: Value) -> Attribute {
        Attribute {
            path: "p".to_owned(),
            change: "kept".to_owned(),
            security: false,
            sensitive: false,
            old: Some(old),
            new: Some(new),
            removed: Vec::new(),
            added: Vec::new(),
        }
    }

    #[test]
    fn a_rule_is_told_as_people_say_it() {
        let ssh = json!({"protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_blocks": ["0.0.0.0/0"],
            "description": "", "self": false, "security_groups": []});
        let all = json!({"protocol": "-1", "from_port": 0, "to_port": 0, "ipv6_cidr_blocks": ["::/0"], "self": true});
        let removed = vec![json!({"size": 8, "name": "", "tags": {}}), json!("text")];
        let attribute = Attribute {
            old: None,
            new: None,
            added: vec![ssh, all],
            removed,
            path: "ingress".to_owned(),
            ..whole(json!(1), json!(2))
        };
        assert_eq!(
            attribute.lines(),
            [
                "ingress: - {size=8}",
                "ingress: - text",
                "ingress: + tcp 22 0.0.0.0/0",
                "ingress: + all ::/0 self"
            ]
        );
    }

    #[test]
    fn a_long_value_is_shown_where_it_differs() {
        let (old, new) =
            (format!("{}old{}", "a".repeat(300), "b".repeat(300)), format!("{}new", "a".repeat(300)));
        let line = whole(json!(old), json!(new)).lines().remove(0);
        assert!(
            line.contains("…aaaaaaaaaaaaaaaaaaaaoldbbb") && line.ends_with("→ …aaaaaaaaaaaaaaaaaaaanew"),
            "{line}"
        );
        assert_eq!(whole(json!(null), json!(true)).lines(), ["p: nothing → true"]);
        let hidden = Attribute { sensitive: true, old: None, new: None, ..whole(json!(1), json!(2)) };
        assert_eq!(hidden.lines(), ["p: (sensitive) differs"]);
    }
}
