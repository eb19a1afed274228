//! Terraform code as far as it is read here: where each resource is declared, and which constants are secrets.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::structure::{Block, Body};
use serde_json::Value;

use super::configuration::is_harmless;
use super::secrets::Secrets;
use crate::atomic::read_file_within;
use crate::config::is_code;

/// Larger files are not read, in bytes.
const LARGEST: u64 = 4 << 20;
/// How deep modules are followed.
const DEEPEST: usize = 16;

/// Where a resource is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodePlace {
    /// The file.
    pub file: PathBuf,
    /// The first line of its block, from 1.
    pub line: usize,
    /// The last one.
    pub last_line: usize,
}

/// The code of one directory; what cannot be read is left out.
#[derive(Debug, Default)]
pub struct Code {
    dir: PathBuf,
    /// The places of resources and data sources, by their address in the module.
    declared: BTreeMap<String, CodePlace>,
    /// The sources of the modules that are called.
    sources: BTreeMap<String, String>,
    /// Those of these modules that were read.
    read_modules: RefCell<BTreeMap<String, Rc<Self>>>,
    /// The names of variables that are sensitive.
    sensitive: BTreeSet<String>,
    /// The constants of providers and backends, and the defaults of sensitive variables.
    constants: Vec<String>,
    /// The names of the providers, by declaration, source or type of resource, and of the backend.
    services: BTreeSet<String>,
    /// The names of variables without a default.
    required: BTreeSet<String>,
}

impl Code {
    /// Reads the code in a directory.
    #[must_use]
    pub fn read(dir: &Path) -> Self {
        let mut code = Self { dir: dir.to_owned(), ..Self::default() };
        let Ok(entries) = std::fs::read_dir(dir) else { return code };
        let mut names: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        names.sort_unstable();
        for path in names {
            if !path.file_name().and_then(|name| name.to_str()).is_some_and(is_code) {
                continue;
            }
            let is_json = path.extension().is_some_and(|ending| ending == "json");
            match text_of(&path) {
                Some(text) if is_json => code.read_json(&text),
                Some(text) => code.read_text(&path, &text),
                None => {}
            }
        }
        code
    }

    fn read_text(&mut self, path: &Path, text: &str) {
        let Ok(body) = hcl_edit::parser::parse_body(text) else { return };
        for block in body.blocks() {
            let labels: Vec<&str> =
                block.labels.iter().map(hcl_edit::structure::BlockLabel::as_str).collect();
            match (block.ident.as_str(), labels.as_slice()) {
                ("resource" | "data", [kind, name]) => {
                    self.services.insert(service_of(kind));
                    let data = if block.ident.as_str() == "data" { "data." } else { "" };
                    let span = block.span().unwrap_or_default();
                    let line = |at: usize| {
                        text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
                    };
                    let (line, last_line) = (line(span.start), line(span.end.saturating_sub(1)));
                    let place = CodePlace { file: path.to_owned(), line, last_line };
                    self.declared.insert(format!("{data}{kind}.{name}"), place);
                }
                ("module", [name]) => {
                    if let Some(source) = constant(block, "source") {
                        self.sources.insert((*name).to_owned(), source);
                    }
                }
                ("variable", [name]) => {
                    if !block.body.has_attribute("default") {
                        self.required.insert((*name).to_owned());
                    }
                    let is_sensitive = block.body.get_attribute("sensitive");
                    if is_sensitive.is_some_and(|it| it.value.as_bool() == Some(true)) {
                        self.sensitive.insert((*name).to_owned());
                        if let Some(default) = block.body.get_attribute("default") {
                            strings(&default.value, &mut self.constants);
                        }
                    }
                }
                ("provider", names) => {
                    self.services.extend(names.iter().map(|name| (*name).to_owned()));
                    constants(&block.body, &[], &mut self.constants);
                }
                ("terraform", _) => {
                    self.services.extend(required_services(block));
                    for backend in
                        block.body.blocks().filter(|it| matches!(it.ident.as_str(), "backend" | "cloud"))
                    {
                        constants(&backend.body, &OF_BACKENDS, &mut self.constants);
                    }
                }
                _ => {}
            }
        }
    }

    fn read_json(&mut self, text: &str) {
        let Ok(json) = serde_json::from_str::<Value>(text) else { return };
        let variables = json.get("variable").and_then(Value::as_object).into_iter().flatten();
        for (name, variable) in variables.filter(|(_, it)| it.get("sensitive") == Some(&Value::Bool(true))) {
            self.sensitive.insert(name.clone());
            variable.get("default").into_iter().for_each(|it| json_strings(it, &[], &mut self.constants));
        }
        let keys =
            |key: &str| json.get(key).and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key);
        self.services.extend(keys("provider").cloned());
        self.services.extend(keys("resource").chain(keys("data")).map(|kind| service_of(kind)));
        json.get("provider").into_iter().for_each(|it| json_strings(it, &[], &mut self.constants));
        let backend = json.get("terraform").and_then(|it| it.get("backend"));
        if let Some(backend) = backend {
            json_strings(backend, &OF_BACKENDS, &mut self.constants);
        }
    }

    /// Where the resource at an address of a plan is declared; `None` where it is not in the code, or that is not here.
    #[must_use]
    pub fn place(&self, address: &str) -> Option<CodePlace> {
        self.place_within(&parts(address), DEEPEST)
    }

    fn place_within(&self, parts: &[String], depth: usize) -> Option<CodePlace> {
        match parts {
            [module, name, rest @ ..] if module == "module" && !rest.is_empty() => {
                let dir = self.local_module(self.sources.get(name)?)?;
                let read = || Rc::new(Self::read(&dir));
                let module =
                    Rc::clone(self.read_modules.borrow_mut().entry(name.clone()).or_insert_with(read));
                (depth > 0).then(|| module.place_within(rest, depth - 1))?
            }
            parts => self.declared.get(&parts.join(".")).cloned(),
        }
    }

    /// Notes the secrets that stand in the code, and in the files of variables.
    pub(super) fn note_secrets(&self, var_files: &[PathBuf], secrets: &mut Secrets) {
        self.constants.iter().for_each(|text| secrets.note_text(text));
        for path in files_of_values(&self.dir).into_iter().chain(var_files.iter().cloned()) {
            let mut found = Vec::new();
            if let Some(text) = text_of(&path) {
                if let Ok(Value::Object(fields)) = serde_json::from_str(&text) {
                    let ours = fields.iter().filter(|(name, _)| self.sensitive.contains(*name));
                    ours.for_each(|(_, value)| json_strings(value, &[], &mut found));
                } else if let Ok(body) = hcl_edit::parser::parse_body(&text) {
                    let ours = body.attributes().filter(|it| self.sensitive.contains(it.key.as_str()));
                    ours.for_each(|it| strings(&it.value, &mut found));
                }
            }
            for text in &found {
                secrets.note_text(text);
            }
        }
    }

    /// The names of the providers and the backend, with those of local modules.
    pub(super) fn services(&self) -> BTreeSet<String> {
        let mut names = self.services.clone();
        let mut known = BTreeSet::new();
        let mut left: Vec<PathBuf> = self.local_modules();
        while let Some(dir) = left.pop() {
            if known.insert(dir.clone()) {
                let module = Self::read(&dir);
                left.extend(module.local_modules());
                names.extend(module.services);
            }
        }
        names
    }

    fn local_modules(&self) -> Vec<PathBuf> {
        self.sources.values().filter_map(|source| self.local_module(source)).collect()
    }

    /// The directory of a module, where its source is a path.
    fn local_module(&self, source: &str) -> Option<PathBuf> {
        let is_local = source.starts_with("./") || source.starts_with("../");
        is_local.then(|| normal(&self.dir.join(source)))
    }

    /// The names of variables that have neither a default nor a value in the files that are read of themselves.
    pub(super) fn unset(&self) -> BTreeSet<String> {
        let given: Vec<String> = files_of_values(&self.dir).iter().filter_map(|path| text_of(path)).collect();
        let is_given = |name: &String| {
            given.iter().any(|text| match serde_json::from_str::<Value>(text) {
                Ok(json) => json.get(name).is_some(),
                Err(_) => hcl_edit::parser::parse_body(text).is_ok_and(|body| body.has_attribute(name)),
            })
        };
        self.required.iter().filter(|name| !is_given(name)).cloned().collect()
    }

    /// Whether a variable is declared here and not as sensitive.
    pub(super) fn is_plain_variable(&self, name: &str) -> bool {
        !self.sensitive.contains(name)
    }
}

/// The text of a file, unless it is too large.
fn text_of(path: &Path) -> Option<String> {
    read_file_within(path, LARGEST).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

/// The files of values for variables that are read of themselves.
fn files_of_values(dir: &Path) -> Vec<PathBuf> {
    let given = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_read = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        matches!(name, "terraform.tfvars" | "terraform.tfvars.json")
            || name.ends_with(".auto.tfvars")
            || name.ends_with(".auto.tfvars.json")
    };
    given.filter(is_read).collect()
}

/// The provider of resources of a type.
fn service_of(kind: &str) -> String {
    kind.split('_').next().unwrap_or(kind).to_owned()
}

/// The backend, and the providers that a `terraform` block names, by their names and sources.
fn required_services(block: &Block) -> Vec<String> {
    let mut names = Vec::new();
    for inner in block.body.blocks() {
        match inner.ident.as_str() {
            "backend" => names.extend(inner.labels.first().map(|label| label.as_str().to_owned())),
            "cloud" => names.push("remote".to_owned()),
            "required_providers" => names.extend(inner.body.attributes().map(|it| match &it.value {
                Expression::Object(fields) => {
                    let is_source =
                        |key: &ObjectKey| key.as_ident().is_some_and(|it| it.as_str() == "source");
                    let source =
                        fields.iter().find(|(key, _)| is_source(key)).and_then(|(_, it)| it.expr().as_str());
                    source.and_then(|it| it.rsplit('/').next()).unwrap_or(it.key.as_str()).to_owned()
                }
                _ => it.key.as_str().to_owned(),
            })),
            _ => {}
        }
    }
    names
}

/// Settings of backends that are no secrets.
const OF_BACKENDS: [&str; 14] = [
    "bucket",
    "key",
    "path",
    "workspace_dir",
    "workspace_key_prefix",
    "dynamodb_table",
    "container_name",
    "resource_group_name",
    "storage_account_name",
    "hostname",
    "prefix",
    "name",
    "workspaces",
    "secret_suffix",
];

/// The constant of an attribute that is a text.
fn constant(block: &Block, name: &str) -> Option<String> {
    block.body.get_attribute(name)?.value.as_str().map(str::to_owned)
}

/// The texts in a body, but for settings that are no secrets.
fn constants(body: &Body, harmless: &[&str], out: &mut Vec<String>) {
    let is_secret = |name: &str| !is_harmless(name) && !harmless.contains(&name);
    body.attributes().filter(|it| is_secret(it.key.as_str())).for_each(|it| strings(&it.value, out));
    body.blocks().filter(|it| is_secret(it.ident.as_str())).for_each(|it| constants(&it.body, harmless, out));
}

/// The texts in an expression, as far as they are constants.
fn strings(expression: &Expression, out: &mut Vec<String>) {
    match expression {
        Expression::String(text) => out.push(text.to_string()),
        Expression::Number(number) => out.push(number.to_string()),
        Expression::HeredocTemplate(text) => out.push(text.template.to_string()),
        Expression::Array(items) => items.iter().for_each(|item| strings(item, out)),
        Expression::Object(fields) => {
            let named = |key: &ObjectKey| key.as_ident().is_some_and(|it| is_harmless(it.as_str()));
            fields.iter().filter(|(key, _)| !named(key)).for_each(|(_, it)| strings(it.expr(), out));
        }
        _ => {}
    }
}

fn json_strings(value: &Value, harmless: &[&str], out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| json_strings(item, harmless, out)),
        Value::Object(fields) => {
            let secret =
                fields.iter().filter(|(name, _)| !is_harmless(name) && !harmless.contains(&name.as_str()));
            secret.for_each(|(_, value)| json_strings(value, harmless, out));
        }
        _ => {}
    }
}

/// The parts of an address between dots, without indexes: `module.a["x.y"].aws_b.c[0]` has `module`, `a`, `aws_b`, `c`.
fn parts(address: &str) -> Vec<String> {
    let (mut parts, mut depth, mut quoted, mut escaped) = (vec![String::new()], 0_usize, false, false);
    for c in address.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if depth > 0 => quoted = !quoted,
            _ if quoted => {}
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            '.' => parts.push(String::new()),
            ' ' => break,
            c => parts.last_mut().into_iter().for_each(|part| part.push(c)),
        }
    }
    parts
}

/// A path without `.` and `..`, as far as that can be told from its text.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if normal.file_name().is_some() => drop(normal.pop()),
            part => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, text: &str) {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn a_resource_is_found_through_local_modules_whatever_its_index() {
        let root = tempfile::tempdir().unwrap();
        let text = "# a } brace\nlocals { t = \"resource { ${1} \" }\n\nresource \"aws_x\" \"y\" {\n  a = <<E\n}\nE\n}\n\
                    module \"net\" {\n  source = \"../../modules/net\"\n}\ndata \"aws_d\" \"z\" {}\n";
        write(root.path(), "env/prod/main.tf", text);
        write(root.path(), "modules/net/a.tf", "\nresource \"aws_sg\" \"web\" {}\n");
        write(root.path(), "env/prod/bad.tf", "resource \"");
        let code = Code::read(&root.path().join("env/prod"));
        let told = |address: &str| code.place(address).map(|it| (it.file, it.line, it.last_line));
        let at = |name: &str| root.path().join(name);
        assert_eq!(told("aws_x.y[0]"), Some((at("env/prod/main.tf"), 4, 8)));
        assert_eq!(told("data.aws_d.z"), Some((at("env/prod/main.tf"), 12, 12)));
        let indexed = "module.net[\"a.b]\\\"\"].aws_sg.web[\"x\"] (deposed 1)";
        assert_eq!(told(indexed), Some((at("modules/net/a.tf"), 2, 2)));
        assert_eq!((told("aws_x.z"), told("module.net"), told("module.no.a.b")), (None, None, None));
    }

    #[test]
    fn secrets_of_the_code_are_noted_and_settings_are_not() {
        let root = tempfile::tempdir().unwrap();
        let text = "variable \"pw\" {\n sensitive = true\n default = \"default-pw\"\n}\nvariable \"n\" {}\n\
                    provider \"x\" {\n region = \"eu-central-1\"\n token = \"provider-token\"\n}\n\
                    terraform {\n backend \"s3\" {\n bucket = \"bucket-name\"\n secret_key = \"backend-secret\"\n }\n}\n";
        write(root.path(), "main.tf", text);
        write(root.path(), "x.tf.json", "{\"provider\": {\"y\": {\"password\": \"json-password\"}}}");
        write(root.path(), "terraform.tfvars", "pw = \"tfvars-secret\"\nn = \"plain-value\"\n");
        write(root.path(), "more.tfvars.json", "{\"pw\": \"file-secret\", \"n\": \"another-plain\"}");
        let mut secrets = Secrets::default();
        Code::read(root.path()).note_secrets(&[root.path().join("more.tfvars.json")], &mut secrets);
        for secret in [
            "default-pw",
            "provider-token",
            "backend-secret",
            "json-password",
            "tfvars-secret",
            "file-secret",
        ] {
            assert!(secrets.are_in(secret), "{secret}");
        }
        for plain in ["eu-central-1", "bucket-name", "plain-value", "another-plain"] {
            assert!(!secrets.are_in(plain), "{plain}");
        }
    }
}
