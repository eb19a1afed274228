//! `driftlock serve`: the agent, and its tokens.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::Builder;

use clap::{Args, Subcommand, ValueEnum};
use log::LevelFilter;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::audit::trust_policy::SignatureDemand;
use crate::cli::Session;
use crate::cli::args::trust::TrustArgs;
use crate::cli::terminal::logging;
use crate::cli::terminal::output::{self, say};
use crate::cli::terminal::signals::{Interrupt, OF_SERVICES};
use crate::config::host_file::{self, HostFile};
use crate::config::{self, Deployment, ServeConfig, ServeFile, is_target_name};
use crate::control::{Environment, clock, dates, waits};
use crate::error::Failure;
use crate::model::{escaped, in_words, printable_path};
use crate::serve::agent::{Agent, Plan};
use crate::serve::deployed::{OwnTargets, Setting};
use crate::serve::http::{ChangeLog, CursorKey, Site, SiteCertificate, SiteLimits, SiteServer};
use crate::serve::site::{AgentSite, ROUTES};
use crate::serve::tokens::{TokenRole, TokenStore};
use crate::store::state;

/// Where the state lies where no project is around.
const STATE_DIR: &str = "/var/lib/driftlock";
/// The directory of the state of a project's agent, below that of watchers.
const OWN_STATE: &str = "serve";
/// The variables that stand in for `--config` and `--loglevel`, as the older agent had them.
const VARIABLE: &str = "APP_CONFIG";
const LEVEL_VARIABLE: &str = "APP_LOGLEVEL";

/// Check deployments at their times, and answer for them over HTTP
///
/// Looks at each of [[deployments]] at its times: of the branch that is the truth, where it has a repository. Serves an API, metrics
/// and a page on [serve] listen; each request needs a token: driftlock serve token NAME --role read. SIGHUP reads the configuration
/// again, SIGUSR1 looks at everything now, SIGTERM ends.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  driftlock serve token grafana --role scrape   a token for /metrics; it is shown once
  driftlock serve                               the agent of this project, on 127.0.0.1:8870
  driftlock serve --config /etc/driftlock/serve.toml
  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8870/drift/events?status=open
  kill -USR1 PID                                look at everything now"
)]
pub(crate) struct ServeArgs {
    #[command(subcommand)]
    other: Option<ServeCommand>,
    #[command(flatten)]
    place: PlaceArgs,
    /// Listen without TLS on an address that others reach: something in front of it speaks TLS
    #[arg(long)]
    insecure: bool,
    /// The host's own file, which defines programs, addresses, keys and secrets [default: /etc/driftlock/host.toml]
    #[arg(long, value_name = "FILE")]
    host_config: Option<PathBuf>,
    /// How much is logged, as the older agent had it: error, warning, info, debug [env: APP_LOGLEVEL]
    #[arg(long = "loglevel", short = 'l', value_name = "LEVEL", ignore_case = true)]
    log_level: Option<LogLevel>,
    #[command(flatten)]
    trust: TrustArgs,
}

/// The configuration of an agent, which says where its state lies.
#[derive(Args)]
struct PlaceArgs {
    /// A file with [serve] and [[deployments]] [default: audit/driftlock.toml of the project] [env: APP_CONFIG]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogLevel {
    /// Errors and warnings alone
    #[value(alias = "critical")]
    Error,
    /// The same
    #[value(alias = "warn")]
    Warning,
    /// What is done
    Info,
    /// What is asked of others, too
    Debug,
}

impl LogLevel {
    /// The level that was named by the option or else by the variable, if any was.
    fn named(args: &ServeArgs, environment: &Environment) -> Result<Option<Self>, Failure> {
        let Some(value) = environment.non_empty(LEVEL_VARIABLE).filter(|_| args.log_level.is_none()) else {
            return Ok(args.log_level);
        };
        let level = value.to_str().and_then(|text| Self::from_str(text, true).ok());
        level.map(Some).ok_or_else(|| {
            let shown = escaped(value.as_encoded_bytes());
            Failure::new(format!("{LEVEL_VARIABLE}={shown}: there is no such level"))
                .hint("the levels are: error, warning, info, debug")
        })
    }

    fn filter(self) -> LevelFilter {
        match self {
            // Warnings and errors are not logged but said, at every level.
            Self::Error | Self::Warning => LevelFilter::Off,
            Self::Info => LevelFilter::Info,
            Self::Debug => LevelFilter::Debug,
        }
    }
}

#[derive(Subcommand)]
enum ServeCommand {
    Token(TokenArgs),
}

/// Make, list or revoke the tokens of those who call the agent
///
/// A token is printed once, alone on the last line; its digest is kept. A running agent notices at once.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock serve token grafana --role scrape
  driftlock serve token ops --role operate --expires 90d
  driftlock serve token ops --revoke
  driftlock serve token                         those that there are")]
struct TokenArgs {
    /// Its name, which stands in logs and beside what it has acknowledged
    name: Option<String>,
    /// What it may do, and all before it: scrape /metrics; read verdicts and names; detail: lines and values; operate: acknowledge
    /// and reconcile; admin: policies
    #[arg(long, value_name = "ROLE", requires = "name")]
    role: Option<RoleArg>,
    /// After how long it counts no more: 90d, a date
    #[arg(long, value_name = "WHEN", requires = "role")]
    expires: Option<String>,
    /// It counts no more from now on
    #[arg(long, requires = "name", conflicts_with = "role")]
    revoke: bool,
    #[command(flatten)]
    place: PlaceArgs,
    /// The host's own file [default: /etc/driftlock/host.toml]
    #[arg(long, value_name = "FILE")]
    host_config: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleArg {
    Scrape,
    Read,
    Detail,
    Operate,
    Admin,
}

impl RoleArg {
    fn role(self) -> TokenRole {
        match self {
            Self::Scrape => TokenRole::Scrape,
            Self::Read => TokenRole::Read,
            Self::Detail => TokenRole::Detail,
            Self::Operate => TokenRole::Operate,
            Self::Admin => TokenRole::Admin,
        }
    }
}

pub(crate) fn run(session: &Session, args: &ServeArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    match &args.other {
        Some(ServeCommand::Token(token)) => tokens(session, token),
        None => {
            if let Some(level) = LogLevel::named(args, &session.control.environment)? {
                logging::raise(level.filter(), interrupt);
            }
            serve(session, args, interrupt)
        }
    }
}

/// One reading of the configuration.
struct AgentInput {
    serve: ServeConfig,
    dir: PathBuf,
    plan: Plan,
}

impl AgentInput {
    fn read(
        session: &Session,
        place: &PlaceArgs,
        host: Option<&Path>,
        trust: Option<&TrustArgs>,
    ) -> Result<Self, Failure> {
        let host = HostFile::load(host).map_err(|error| Failure::from(error).of_project())?;
        let environment = &session.control.environment;
        let named = place.config.clone().or_else(|| environment.non_empty(VARIABLE).map(PathBuf::from));
        let project = session.project();
        let (mut config, root) = match (&named, project) {
            (Some(path), project) => {
                let file = ServeFile::load(path).map_err(|error| Failure::from(error).of_project())?;
                file.warnings.iter().for_each(|warning| session.control.events.warning(warning));
                (file.config, project.ok().map(|project| project.root))
            }
            (None, project) => {
                let project = project?;
                guard_project_file(&project.root)?;
                (project.config, Some(project.root))
            }
        };
        let inputs = vec![config.digest, host.digest()];
        let targets = named.as_deref().map(|file| OwnTargets {
            all: config.targets.clone(),
            is_of_host: host_file::work_tree_around(file).is_none(),
            file: printable_path(file),
        });
        // What the host defines beyond that counts for each deployment's own configuration.
        host.put_into(&mut config);
        let serve = config.serve.clone().unwrap_or_default();
        let from = named.as_deref().and_then(Path::parent).map(Path::to_owned).or_else(|| root.clone());
        let below = |path: &Path| {
            let path = environment.expand_home(path);
            from.as_ref().map_or_else(|| path.clone(), |from| from.join(&path))
        };
        let dir = match (&serve.state_dir, &root) {
            (Some(dir), _) => below(dir),
            (None, Some(root)) if named.is_none() => root.join(state::PATH).join(OWN_STATE),
            (None, _) => PathBuf::from(STATE_DIR),
        };
        let dir = std::path::absolute(&dir).map_err(|error| Failure::at(&dir, &error))?;
        let own_signers = config.trust.allowed_signers.as_deref().map(below);
        let mut deployments = config.deployments;
        for deployment in &mut deployments {
            deployment.root = deployment.root.take().map(|root| below(&root));
            deployment.env_file = deployment.env_file.take().map(|file| below(&file));
        }
        if deployments.is_empty() {
            let root = root.as_ref().ok_or_else(|| {
                Failure::new("there is nothing to look at")
                    .hint("write [[deployments]] into the configuration")
            })?;
            deployments.push(Deployment::named(&name_of(root)));
        }
        let given = trust.map(|trust| trust.demand(environment)).unwrap_or_default();
        let is_demanded_twice = given.signers.is_some() || given.is_required;
        let file = named.as_deref().map_or_else(|| config::PATH.to_owned(), printable_path);
        let of_host =
            host.allowed_signers().map(|path| (path, format!("allowed_signers of {}", host.name())));
        let of_file = own_signers.map(|path| (path, format!("allowed_signers of {file}")));
        let signers = given.signers.or(of_host);
        // What a project says of its own signers holds for itself as check has it; for what is fetched it is the agent's.
        let of_tree = signers.clone().or_else(|| of_file.clone().filter(|_| named.is_some()));
        let demand = SignatureDemand { signers: of_tree, is_required: given.is_required };
        let demand_fetched = SignatureDemand { signers: signers.or(of_file), ..demand.clone() };
        if trust.is_some() && host.requires_signed_commits() && demand_fetched.signers.is_none() {
            let failure = Failure::new(format!(
                "{} requires signed commits, and nothing says who may sign",
                host.name()
            ));
            return Err(failure
                .hint("name the file of allowed signers there: allowed_signers under [trust]")
                .of_project());
        }
        let control = session.control.clone();
        let targets = targets.unwrap_or_default();
        let setting = Setting { control, host, targets, demand, demand_fetched, is_demanded_twice };
        let plan = Plan {
            deployments,
            root,
            jobs: serve.jobs,
            retention_days: serve.retention_days,
            commit_acknowledgements: serve.commit_acknowledgements.clone(),
            setting,
            inputs,
        };
        let tls = serve.tls.map(|tls| config::TlsFiles { cert: below(&tls.cert), key: below(&tls.key) });
        Ok(Self { serve: ServeConfig { tls, ..serve }, dir, plan })
    }
}

/// Makes sure that nobody else says what the agent of a project does.
fn guard_project_file(root: &Path) -> Result<(), Failure> {
    let file = root.join(config::PATH);
    let why = if file.exists() { config::written_by_others(&file) } else { None };
    why.map_or(Ok(()), |why| Err(Failure::new(format!("{}: {why}", config::PATH)).of_project()))
}

/// The name of a deployment that nobody has named: that of its directory.
fn name_of(root: &Path) -> String {
    let name = root.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if is_target_name(name) { name.to_owned() } else { "project".to_owned() }
}

fn serve(session: &Session, args: &ServeArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let AgentInput { serve, dir, plan } =
        AgentInput::read(session, &args.place, args.host_config.as_deref(), Some(&args.trust))?;
    serve.allow_listening(args.insecure).map_err(|error| Failure::from(error).of_project())?;
    make_private(&dir)?;
    let _alone = state::hold_agent(&dir, &|| interrupt.watch.is_cancelled())?;
    for warning in uncommitted(&plan) {
        session.control.events.warning(&warning);
    }
    let names = plan.deployments.len();
    let agent = Agent::new(dir.clone(), plan)?;
    let certificate = serve.tls.as_ref().map(|tls| SiteCertificate::read(&tls.cert, &tls.key)).transpose();
    let certificate = certificate.map_err(|error| Failure::new(error.to_string()))?.map(Arc::new);
    let cursors = CursorKey::of_directory(&dir).map_err(|error| Failure::new(error.to_string()))?;
    let state = Arc::new(AgentSite { agent: Arc::clone(&agent), cursors });
    let kept = (Arc::new(TokenStore::new(&dir)), ChangeLog::of_directory(&dir));
    let site = Site::new(ROUTES, state, &serve.hosts, kept, SiteLimits::default());
    let server = SiteServer::start(serve.listen, certificate.clone(), Arc::new(site)).map_err(|error| {
        Failure::new(format!("{} cannot be listened on: {}", serve.listen, in_words(&error)))
            .hint("choose another address with [serve] listen")
    })?;
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let deployments = if names == 1 { "deployment" } else { "deployments" };
    say(&format!("listening on {scheme}://{}, {names} {deployments}", server.address()));
    let reload = || {
        let done = AgentInput::read(session, &args.place, args.host_config.as_deref(), Some(&args.trust))
            .and_then(|input| {
                for warning in uncommitted(&input.plan) {
                    session.control.events.warning(&warning);
                }
                if let Some(certificate) = &certificate {
                    certificate.reload().map_err(|error| Failure::new(error.to_string()))?;
                }
                agent.replace(input.plan)
            });
        if let Err(failure) = done {
            say(&failure.before("the configuration stays as it was: ").to_string());
        }
    };
    let asked = listen(&agent)?;
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let every = sd_notify::watchdog_enabled().map_or(waits::TIMETABLE.most, |every| every / 2);
    let mut beat = || {
        let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        if asked.swap(false, std::sync::atomic::Ordering::SeqCst) {
            reload();
        }
    };
    agent.run(&mut beat, every, &|| interrupt.watch.is_cancelled());
    agent.end(|| server.end());
    Ok(0)
}

/// Deployments whose acknowledgements are committed nowhere, though that is configured.
fn uncommitted(plan: &Plan) -> Vec<String> {
    let wanted = plan.commit_acknowledgements.as_ref();
    let without = plan.deployments.iter().filter(|it| wanted.is_some() && it.git.is_none());
    let warning = |it: &Deployment| {
        format!(
            "{}: what is acknowledged is committed nowhere: the deployment has no git of its own",
            it.name
        )
    };
    without.map(warning).collect()
}

/// Makes a directory that nobody else reads.
fn make_private(dir: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| Failure::at(dir, &error))
}

/// Wakes the agent at signals. What it gives is set when the configuration is to be read again.
fn listen(agent: &Arc<Agent>) -> Result<Arc<std::sync::atomic::AtomicBool>, Failure> {
    let failed =
        |error: std::io::Error| Failure::new(format!("no thread could be started: {}", in_words(&error)));
    let mut signals = Signals::new(OF_SERVICES).map_err(failed)?;
    let asked = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (agent, reload) = (Arc::clone(agent), Arc::clone(&asked));
    let wait = move || {
        for signal in signals.forever() {
            match signal {
                SIGHUP => reload.store(true, std::sync::atomic::Ordering::SeqCst),
                SIGUSR1 => drop(agent.reconcile(None)),
                _ => {}
            }
            agent.ring();
        }
    };
    Builder::new().name("signals".to_owned()).spawn(wait).map_err(failed)?;
    Ok(asked)
}

fn tokens(session: &Session, args: &TokenArgs) -> Result<u8, Failure> {
    let input = AgentInput::read(session, &args.place, args.host_config.as_deref(), None)?;
    let store = TokenStore::new(&input.dir);
    let failed = |error: crate::serve::tokens::TokenError| Failure::new(error.to_string());
    match (&args.name, args.role) {
        (Some(name), _) if args.revoke => {
            store.revoke(name).map_err(failed)?;
            output::print(format!("Revoked: {name}\n").as_bytes())?;
        }
        (Some(name), Some(role)) => {
            make_private(&input.dir)?;
            let expires =
                args.expires.as_deref().map(|text| dates::until(text, clock::unix())).transpose()?;
            let token = store.add(name, role.role(), expires.map(|it| it.unix)).map_err(failed)?;
            let end = if args.expires.is_some() { "" } else { ", until it is revoked" };
            let told =
                format!("Token {name}, role {}{end}; it is shown only now:\n{token}\n", role.role().word());
            output::print(told.as_bytes())?;
        }
        (Some(name), None) => {
            let shown = escaped(name.as_bytes());
            return Err(Failure::new(format!("token {shown}: --role is needed"))
                .hint("roles: scrape, read, detail, operate, admin"));
        }
        (None, _) => {
            let all = store.list().map_err(failed)?;
            let line = |it: &crate::serve::tokens::TokenRecord| {
                let end = it.expires_unix.and_then(clock::utc_text).unwrap_or_else(|| "-".to_owned());
                format!("{}\t{}\t{}\t{end}\n", it.name, it.role.word(), it.created)
            };
            output::print(all.iter().map(line).collect::<String>().as_bytes())?;
        }
    }
    Ok(0)
}
