//! A look at the infrastructure of one environment: initialise, plan, read the plan, remove it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::child::{Deadline, Ended, Running};
use super::code::{Code, CodePlace};
use super::command::{Caller, INIT, WORKSPACES, plan_arguments};
use super::diagnostic;
use super::judge::{Judged, Rules, judge_plan};
use super::look_error::LookError;
use super::plan::Plan;
use super::private;
use super::secrets::Secrets;
use super::slots::Slots;
use super::state_version;
use crate::atomic::DraftDir;
use crate::config::{Init, Terraform, holds_code};
use crate::control::account::Account;
use crate::control::progress::Watch;
use crate::control::{Environment as Variables, file_lock};
use crate::model::{Digest, LeftOut, Unit, escaped, in_words, quoted};

/// A longer line of a plan's messages is not read, in bytes.
const LONGEST_LINE: u64 = 1 << 20;
/// A longer inventory is not read, in bytes.
const LONGEST_INVENTORY: u64 = 64 << 20;
/// Words of errors that a variable which was withheld may explain.
const LACKING: [&str; 18] = [
    "access",
    "auth",
    "backend",
    "certificate",
    "connect",
    "credential",
    "denied",
    "dial",
    "forbidden",
    "key",
    "login",
    "lookup",
    "missing",
    "permission",
    "proxy",
    "region",
    "timeout",
    "token",
];
/// The first bytes of a saved plan, which is a ZIP archive.
const ZIP: &[u8] = b"PK\x03\x04";
/// The file in which the code pins its providers.
const LOCK: &str = ".terraform.lock.hcl";
/// Words of errors by which Terraform says that a directory must be initialised anew.
const NEEDS_INIT: [&str; 8] = [
    "initialization required",
    "not installed",
    "terraform init",
    "tofu init",
    "Inconsistent dependency lock file",
    "Required plugins are not installed",
    "Missing required provider",
    "Module source has changed",
];

/// What exists, as an inventory command prints it: identifiers by resource type.
pub(super) type Inventory = BTreeMap<String, BTreeSet<String>>;

/// An environment, and what is needed to look at it.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// Its name.
    pub name: &'a str,
    /// What is configured.
    pub config: &'a Terraform,
    /// The directory with the code, as an absolute path.
    pub dir: &'a Path,
    /// The project's root: modules below it are found from a copy of the directory, too.
    pub root: &'a Path,
    /// The directory for what stays between runs: `audit/state/terraform`.
    pub state: &'a Path,
    /// The variables of this process.
    pub variables: &'a Variables,
    /// How many plans run at the same time.
    pub slots: &'a Slots,
}

/// What came of a look.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// What the plan means, or why there is none.
    pub judged: Judged,
    /// Where the resources with a finding are declared, by subject.
    pub places: BTreeMap<Vec<u8>, CodePlace>,
    /// Whether it was made: a plan of another check's target is not.
    pub was_made: bool,
}

impl Look {
    /// A look that failed, and why.
    #[must_use]
    pub fn failed(why: impl Into<String>) -> Self {
        let judged = Judged { errors: vec![why.into()], ..Judged::default() };
        Self { judged, places: BTreeMap::new(), was_made: true }
    }
}

/// Looks at an environment. What goes wrong is an error of the result: a plan that is not whole is none.
#[must_use]
pub fn look(environment: &Environment<'_>, settled: &super::Settled, watch: &Watch) -> Look {
    let code = Code::read(environment.dir);
    at_work(environment, watch, &code, |session| session.carry_out(settled, &code))
}

/// Judges a plan that was made elsewhere: its JSON as it is, a saved plan as `show -json` prints it. Nothing is planned,
/// initialised or refreshed.
#[must_use]
pub fn look_at_file(
    environment: &Environment<'_>,
    settled: &super::Settled,
    mut from: impl Read,
    watch: &Watch,
) -> Look {
    let code = Code::read(environment.dir);
    let mut start = Vec::new();
    if let Err(error) = from.by_ref().take(ZIP.len() as u64).read_to_end(&mut start) {
        return Look::failed(in_words(&error));
    }
    let is_saved = start == ZIP;
    let from = start.as_slice().chain(from);
    if is_saved {
        return at_work(environment, watch, &code, |session| session.show(settled, &code, from));
    }
    match Plan::read(from, false) {
        Ok(plan) => judged(environment, plan, settled, None, &code),
        Err(bad) => Look::failed(bad.to_string()),
    }
}

/// Does work with the program, once it is this environment's turn.
fn at_work(
    environment: &Environment<'_>,
    watch: &Watch,
    code: &Code,
    work: impl FnOnce(&mut Session<'_>) -> Result<Look, LookError>,
) -> Look {
    in_session(environment, watch, code, work).unwrap_or_else(Look::failed)
}

/// The same with whatever comes of it, or why nothing does, without any secret.
pub(super) fn in_session<T>(
    environment: &Environment<'_>,
    watch: &Watch,
    code: &Code,
    work: impl FnOnce(&mut Session<'_>) -> Result<T, LookError>,
) -> Result<T, String> {
    let length = environment.config.timeout;
    let deadline = Deadline { end: Instant::now() + length, length, watch };
    let Some(_slot) = environment.slots.take(&|| deadline.is_over()) else {
        let why = "another plan took all the time that this one had; see timeout and [terraform] jobs";
        return Err(why.to_owned());
    };
    let mut secrets = Secrets::default();
    let var_files: Vec<PathBuf> =
        environment.config.var_files.iter().map(|name| environment.dir.join(name)).collect();
    code.note_secrets(&var_files, &mut secrets);
    let mut session = Session { environment, deadline, secrets, coverage: Vec::new() };
    let looked = work(&mut session);
    looked.map_err(|why| session.secrets.replaced_in(&why.to_string()).into_owned())
}

fn judged(
    environment: &Environment<'_>,
    plan: Plan,
    settled: &super::Settled,
    inventory: Option<&Inventory>,
    code: &Code,
) -> Look {
    let Terraform { pending, checks, .. } = *environment.config;
    let rules = Rules { environment: environment.name, pending, checks, settled, inventory };
    let judged = judge_plan(plan, &rules);
    let prefix = environment.name.len() + 1;
    let places = judged.findings.iter().filter_map(|finding| {
        let key = &finding.subject.key;
        Some((key.clone(), code.place(std::str::from_utf8(key.get(prefix..)?).ok()?)?))
    });
    let places = places.collect();
    Look { judged, places, was_made: true }
}

/// Where the program works.
#[derive(Debug)]
pub(super) struct Workplace {
    /// The directory that stays between runs.
    state: PathBuf,
    /// The private one of this run.
    draft: DraftDir,
    /// What the program initialises, unless that is left to the user.
    own: Option<PathBuf>,
    /// The copy of the code, where that pins no providers, or another account works in it.
    copy: Option<PathBuf>,
    /// Whether the versions of providers are chosen here.
    is_unpinned: bool,
}

impl Workplace {
    /// The private directory.
    pub(super) fn draft_path(&self) -> &Path {
        self.draft.path()
    }

    /// How the program is called there.
    pub(super) fn caller<'w>(&'w self, environment: &Environment<'w>) -> Caller<'w> {
        Caller {
            config: environment.config,
            dir: self.copy.as_deref().unwrap_or(environment.dir),
            is_unpinned: self.is_unpinned,
            data_dir: self.own.clone(),
            plugin_cache: self.own.as_ref().map(|_| self.state.join("plugins")),
            environment: environment.variables,
        }
    }
}

/// One look while it is under way.
pub(super) struct Session<'a> {
    environment: &'a Environment<'a>,
    deadline: Deadline<'a>,
    secrets: Secrets,
    coverage: Vec<String>,
}

impl<'a> Session<'a> {
    fn carry_out(&mut self, settled: &super::Settled, code: &Code) -> Result<Look, LookError> {
        let Environment { name, .. } = *self.environment;
        let place = self.workplace()?;
        let caller = place.caller(self.environment);
        let was_initialised = self.make_ready(&caller, &place, code)?;
        let has_providers = place.own.as_ref().is_some_and(|data| data.join("providers").exists());
        if let Some(copy) = place.copy.as_ref().filter(|_| has_providers && place.is_unpinned) {
            self.coverage.push("providers not pinned: the code has no .terraform.lock.hcl".to_owned());
            // What another account has written may be a link to what it may not read.
            if caller.config.run_as.is_none() {
                let _ = std::fs::copy(copy.join(LOCK), place.state.join(LOCK));
            }
        }
        let file = place.draft.path().join("plan");
        let mut planned = self.plan(&caller, &file);
        if let (Err(LookError::Told(words)), Some(_), false) = (&planned, &place.own, was_initialised)
            && NEEDS_INIT.iter().any(|some| words.contains(some))
        {
            self.initialise(&caller, &place.state, true)?;
            planned = self.plan(&caller, &file);
        }
        planned?;
        let inventory = self.inventory()?;
        let mut plan = self.read(&caller, &file, inventory.is_some())?;
        Self::refuse_newer_state(&caller, plan.header.program.as_deref())?;
        drop(place);
        plan.secrets.absorb(&self.secrets);
        log::info!(environment = name, resources = plan.subjects; "planned");
        let mut look = judged(self.environment, plan, settled, inventory.as_ref(), code);
        let coverage = std::mem::take(&mut self.coverage).into_iter();
        let told = coverage.map(|reason| LeftOut { unit: Unit::Files, count: 1, reason, remedy: None });
        look.judged.left_out.extend(told);
        Ok(look)
    }

    /// The environment.
    pub(super) fn environment(&self) -> &'a Environment<'a> {
        self.environment
    }

    /// What must not be shown.
    pub(super) fn secrets(&mut self) -> &mut Secrets {
        &mut self.secrets
    }

    /// Initialises where that is due, and finds the workspace. Tells whether it was initialised.
    pub(super) fn make_ready(
        &mut self,
        caller: &Caller<'_>,
        place: &Workplace,
        code: &Code,
    ) -> Result<bool, LookError> {
        caller.note_secrets(&|variable| code.is_plain_variable(variable), &mut self.secrets);
        let mut was_initialised = false;
        if let Some(data) = &place.own {
            let plugins = place.state.join("plugins");
            for dir in [data, &plugins].into_iter().filter(|_| caller.config.run_as.is_none()) {
                private::make(dir).map_err(|error| at(dir, error))?;
            }
            was_initialised = self.initialise(caller, &place.state, caller.config.init == Init::Always)?;
        }
        self.find_workspace(caller)?;
        Ok(was_initialised)
    }

    /// Runs the program to its end.
    pub(super) fn run_to_end(
        &self,
        caller: &Caller<'_>,
        arguments: &[&OsStr],
        what: &str,
    ) -> Result<(), LookError> {
        let mut running = self.start(&mut caller.command(arguments), what)?;
        let mut output = Vec::new();
        let _ = (&mut running).take(LONGEST_INVENTORY).read_to_end(&mut output);
        let ended = running.finish()?;
        if ended.status.success() {
            return Ok(());
        }
        let output = String::from_utf8_lossy(&output).into_owned();
        Err(self.told(caller, &[&ended.stderr, &output], what, &ended))
    }

    /// Judges a saved plan as the program shows it, where the directory was initialised before.
    fn show(
        &mut self,
        settled: &super::Settled,
        code: &Code,
        mut from: impl Read,
    ) -> Result<Look, LookError> {
        let place = self.workplace()?;
        let caller = place.caller(self.environment);
        caller.note_secrets(&|variable| code.is_plain_variable(variable), &mut self.secrets);
        let file = place.draft.path().join("plan");
        let kept = private::file(&file).and_then(|mut kept| std::io::copy(&mut from, &mut kept));
        kept.map_err(|error| at(&file, error))?;
        let mut plan = self.read(&caller, &file, false).map_err(|source| {
            let Environment { name, config, dir, .. } = *self.environment;
            let (binary, dir) = (quoted(&config.binary), quoted(&dir.display().to_string()));
            let command =
                format!("{binary} -chdir={dir} show -json FILE | driftlock check --env {name} --plan -");
            LookError::Saved { source: Box::new(source), command }
        })?;
        drop(place);
        plan.secrets.absorb(&self.secrets);
        Ok(judged(self.environment, plan, settled, None, code))
    }

    /// Makes ready where the program works, and makes sure that there is code.
    pub(super) fn workplace(&self) -> Result<Workplace, LookError> {
        let Environment { config, dir, .. } = *self.environment;
        if !dir.is_dir() {
            return Err(LookError::NoDirectory(dir.to_owned()));
        }
        if !holds_code(dir) {
            return Err(LookError::NoCode(dir.to_owned()));
        }
        if let Some(account) = &config.run_as {
            return self.workplace_of(account);
        }
        let (state, draft) = self.directories()?;
        let own = (config.init != Init::Never).then(|| state.join("data"));
        let is_unpinned = own.is_some() && !dir.join(LOCK).exists();
        let copy =
            is_unpinned.then(|| private::mirror(self.environment.root, dir, &draft.path().join("tree")));
        let copy = copy.transpose().map_err(|error| at(draft.path(), error))?;
        if let Some(copy) = &copy {
            let _ = std::fs::copy(state.join(LOCK), copy.join(LOCK));
        }
        Ok(Workplace { state, draft, own, copy, is_unpinned })
    }

    /// The same for another account: it gets a copy of the project, and directories of its own, for this run alone. Nothing is written
    /// by this process to what the account has got.
    fn workplace_of(&self, account: &Account) -> Result<Workplace, LookError> {
        let Environment { dir, root, variables, .. } = *self.environment;
        let base = private::below_temporary_for_another(variables);
        let draft = private::draft_for_another(&base).map_err(|error| at(&base, error))?;
        let state = draft.path().to_owned();
        let (tree, own) = (state.join("tree"), state.join("data"));
        let base = if dir.starts_with(root) { root } else { dir };
        private::copy(base, &tree).map_err(|error| at(&tree, error))?;
        for made in [&own, &state.join("plugins")] {
            private::make(made).map_err(|error| at(made, error))?;
        }
        for given in [&tree, &own, &state.join("plugins")] {
            account.own(given).map_err(|error| at(given, error))?;
        }
        let copy = Some(dir.strip_prefix(base).map_or_else(|_| tree.clone(), |below| tree.join(below)));
        let is_unpinned = !dir.join(LOCK).exists();
        Ok(Workplace { state, draft, own: Some(own), copy, is_unpinned })
    }

    /// Refuses a state that a newer minor version of the program wrote, where that lies on this machine. The program reads it
    /// all the same, and what the newer one put there may mean something else.
    pub(super) fn refuse_newer_state(caller: &Caller<'_>, program: Option<&str>) -> Result<(), LookError> {
        let Some((program, written)) = program.zip(state_version::of_local(caller)) else { return Ok(()) };
        if !state_version::is_newer(&written, program) {
            return Ok(());
        }
        Err(LookError::NewerState {
            written: escaped(written.as_bytes()),
            program: escaped(program.as_bytes()),
        })
    }

    /// The directory that stays between runs, and the private one of this run.
    fn directories(&self) -> Result<(PathBuf, DraftDir), LookError> {
        let Environment { state, name, variables, .. } = *self.environment;
        let temporary = private::below_temporary(variables);
        let made = |base: &Path| {
            let own = base.join(name);
            let made =
                private::make(base).and_then(|()| private::make(&own)).and_then(|()| private::draft(&own));
            made.map(|draft| (own.clone(), draft)).map_err(|error| at(&own, error))
        };
        made(state).or_else(|first| made(&temporary).map_err(|_| first))
    }

    /// Initialises the directory where that is due; tells whether it was.
    fn initialise(&mut self, caller: &Caller<'_>, state: &Path, is_due: bool) -> Result<bool, LookError> {
        let stamp = state.join("initialised");
        let lock = File::options().create(true).truncate(false).write(true).open(state.join("lock"));
        let lock = lock.map_err(|error| at(state, error))?;
        let held = file_lock::hold(&lock, self.deadline.left(), &|| self.deadline.is_over());
        if !held.map_err(|error| at(state, error))? {
            return Err(LookError::Busy);
        }
        let now = self.fingerprint();
        if !is_due && std::fs::read_to_string(&stamp).is_ok_and(|before| before == now) {
            return Ok(false);
        }
        let _ = std::fs::remove_file(&stamp);
        let arguments = &INIT[..INIT.len() - usize::from(caller.is_unpinned)];
        let (ended, output) = self.output(caller, arguments)?;
        if !ended.status.success() {
            return Err(self.told(caller, &[&ended.stderr, &output], "init", &ended));
        }
        std::fs::write(&stamp, now).map_err(|error| at(&stamp, error))?;
        Ok(true)
    }

    /// What an initialisation depends on, as far as it lies in the directory.
    fn fingerprint(&self) -> String {
        let Environment { dir, config, .. } = *self.environment;
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> = entries
            .filter(|path| {
                let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
                crate::config::is_code(name) || name == ".terraform.lock.hcl"
            })
            .collect();
        files.sort_unstable();
        let mut text = format!("{}\n", config.binary);
        for file in files {
            let digest = std::fs::read(&file).map(|bytes| Digest::of(&bytes).to_string()).unwrap_or_default();
            text += &[digest.as_str(), " ", &escaped(file.as_os_str().as_encoded_bytes()), "\n"].concat();
        }
        Digest::of(text.as_bytes()).to_string()
    }

    /// Makes sure that the workspace is there: planning would make it.
    fn find_workspace(&self, caller: &Caller<'_>) -> Result<(), LookError> {
        let Some(wanted) = caller.config.workspace.as_deref().filter(|name| *name != "default") else {
            return Ok(());
        };
        let (ended, output) = self.output(caller, &WORKSPACES)?;
        if !ended.status.success() {
            return Err(self.told(caller, &[&ended.stderr, &output], "workspace list", &ended));
        }
        let names: Vec<&str> = output
            .lines()
            .map(|line| line.trim_start_matches('*').trim())
            .filter(|it| !it.is_empty())
            .collect();
        if names.contains(&wanted) {
            return Ok(());
        }
        let names: Vec<String> = names.iter().map(|name| escaped(name.as_bytes())).collect();
        Err(LookError::NoWorkspace { wanted: wanted.to_owned(), known: names.join(", ") })
    }

    /// Plans into a file that nobody else may read.
    fn plan(&self, caller: &Caller<'_>, file: &Path) -> Result<(), LookError> {
        self.plan_by(caller, file, &plan_arguments(caller.config, file))
    }

    /// The same with these arguments.
    pub(super) fn plan_by(
        &self,
        caller: &Caller<'_>,
        file: &Path,
        arguments: &[OsString],
    ) -> Result<(), LookError> {
        let _ = std::fs::remove_file(file);
        private::file(file).map_err(|error| at(file, error))?;
        if let Some(account) = &caller.config.run_as {
            account.own(file).map_err(|error| at(file, error))?;
        }
        let arguments: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        let mut running = self.start(&mut caller.command(&arguments), "plan")?;
        let mut first = None;
        let mut reader = BufReader::with_capacity(64 << 10, &mut running);
        let mut line = Vec::new();
        loop {
            line.clear();
            // An error is told by the end of the child.
            let count = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).unwrap_or(0);
            if count == 0 {
                break;
            }
            if first.is_none() && line.windows(12).any(|it| it == b"\"diagnostic\"") {
                first = diagnostic::in_line(&line);
            }
        }
        drop(reader);
        let ended = running.finish()?;
        if ended.status.success() && first.is_none() {
            return Ok(());
        }
        let why = first.unwrap_or_else(|| plain_error(&[&ended.stderr], "plan", &ended));
        Err(self.with_withheld(caller, &why))
    }

    /// Reads the plan as `show -json` prints it.
    pub(super) fn read(&self, caller: &Caller<'_>, file: &Path, with_ids: bool) -> Result<Plan, LookError> {
        let arguments: [&OsStr; 4] = ["show".as_ref(), "-json".as_ref(), "-no-color".as_ref(), file.as_ref()];
        let mut running = self.start(&mut caller.command(&arguments), "show -json")?;
        let mut read = Plan::read(&mut running, with_ids);
        let is_whole = read.is_ok();
        let ended = match read {
            Err(bad) if !self.deadline.is_over() => {
                // Once the document is none, only a word on why is waited for.
                let Ok(ended) = running.finish_soon() else { return Err(bad.into()) };
                read = Err(bad);
                Ok(ended)
            }
            _ => running.finish(),
        };
        let ended = ended?;
        if !ended.status.success() && (is_whole || !ended.stderr.trim().is_empty()) {
            return Err(self.told(caller, &[&ended.stderr], "show -json", &ended));
        }
        Ok(read?)
    }

    /// What exists by resource type, as the configured command prints it.
    fn inventory(&self) -> Result<Option<Inventory>, LookError> {
        let Environment { config, dir, variables, .. } = *self.environment;
        let Some((program, arguments)) = config.inventory.split_first() else { return Ok(None) };
        let caller = Caller {
            config,
            dir,
            data_dir: None,
            plugin_cache: None,
            is_unpinned: false,
            environment: variables,
        };
        let given = caller.command(&[]);
        let mut command = Command::new(program);
        command.args(arguments).current_dir(dir).env_clear();
        command.envs(given.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(account) = &config.run_as {
            command = account.becoming(&command);
        }
        let running = Running::start(&mut command, &config.inventory.join(" "), self.deadline);
        let mut running = running.map_err(LookError::Inventory)?;
        let mut bytes = Vec::new();
        let read = (&mut running).take(LONGEST_INVENTORY).read_to_end(&mut bytes);
        let ended = running.finish()?;
        if !ended.status.success() || read.is_err() {
            return Err(LookError::Told(plain_error(&[&ended.stderr], "inventory", &ended)));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|_| LookError::NoInventory)
    }

    /// Runs a command that no workspace is needed for to its end, with its whole output.
    fn output(&self, caller: &Caller<'_>, arguments: &[&str]) -> Result<(Ended, String), LookError> {
        let words: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        let mut running = self.start(&mut caller.without_workspace(&words), arguments[0])?;
        let mut bytes = Vec::new();
        let _ = (&mut running).take(LONGEST_LINE).read_to_end(&mut bytes);
        let ended = running.finish()?;
        Ok((ended, String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn start(&self, command: &mut Command, what: &str) -> Result<Running<'_>, LookError> {
        let name = format!("{} {what}", self.environment.config.binary);
        Ok(Running::start(command, &name, self.deadline)?)
    }

    fn told(&self, caller: &Caller<'_>, texts: &[&str], what: &str, ended: &Ended) -> LookError {
        self.with_withheld(caller, &plain_error(texts, what, ended))
    }

    /// An error with the variables that may be missing, and what else may help.
    fn with_withheld(&self, caller: &Caller<'_>, why: &str) -> LookError {
        let why = self.secrets.replaced_in(why).into_owned();
        let lower = why.to_ascii_lowercase();
        let may_lack = |name: &String| {
            let is_variable = name.starts_with("TF_VAR_");
            if is_variable {
                lower.contains("variable")
            } else {
                LACKING.iter().any(|word| lower.contains(word))
            }
        };
        let withheld: Vec<String> = caller.withheld().into_iter().filter(may_lack).collect();
        if withheld.is_empty() {
            return LookError::Told(why);
        }
        LookError::Told(format!("{why}; not passed on: {} (name what is needed in env)", withheld.join(", ")))
    }
}

/// The error in what a command printed, in one line.
fn plain_error(texts: &[&str], what: &str, ended: &Ended) -> String {
    let told = texts.iter().find_map(|text| diagnostic::in_text(text));
    let first = || texts.iter().find_map(|text| text.lines().find(|line| !line.trim().is_empty()));
    let told = told.or_else(|| first().map(diagnostic::in_one_line));
    told.unwrap_or_else(|| match ended.status.code() {
        Some(code) => format!("{what} ended with {code} and said nothing"),
        None => format!("{what} was killed"),
    })
}

fn at(path: &Path, error: std::io::Error) -> LookError {
    LookError::Path(path.to_owned(), error)
}
