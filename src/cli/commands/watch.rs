//! `driftlock watch`: tell of drift when it happens.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use clap::Args;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::acknowledge::{self, Acknowledgement};
use crate::audit::acknowledgements::with_rules;
use crate::audit::examine::{Auditor, BaselineChoice, Examination, Selection};
use crate::audit::signed_policies;
use crate::audit::target::Aim;
use crate::audit::trust_policy::Trusting;
use crate::cli::Session;
use crate::cli::args::checks::ChoiceArgs;
use crate::cli::args::target::AimArgs;
use crate::cli::args::trust::TrustArgs;
use crate::cli::terminal::output::{self, say};
use crate::cli::terminal::signals::{Interrupt, OF_SERVICES};
use crate::config::host_file::HostFile;
use crate::config::policies::Policy;
use crate::config::{DockerMode, RedisStreams};
use crate::control::{dates, waits};
use crate::error::Failure;
use crate::events::engine::{self, EngineFollowing};
use crate::events::event::Event;
use crate::events::files::FileWatch;
use crate::events::inbox::{HintSource, Inbox};
use crate::events::journal::Journal;
use crate::events::open_findings::OpenFindings;
use crate::events::redis::{self, RedisServer, StreamSender};
use crate::events::rules::EventRules;
use crate::host::Visitor;
use crate::model::{escaped, in_words};
use crate::notify::Secret;
use crate::notify::credentials;
use crate::project::Project;
use crate::store::outputs::check_output;
use crate::store::state;
use crate::watch::{Heartbeat, WatchEnd, WatchMetrics, WatchRecords, Watcher};

/// Watch a place: tell of each change of its drift as it happens
///
/// Looks at everything once, then at what the system and the container engine tell of, and at everything again at intervals. Prints
/// an event a line, writes it into the journal in audit/state/events, and leaves reports as check does. SIGHUP reads the
/// configuration again, SIGUSR1 looks at everything now, SIGTERM ends.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock watch                               this project, on a terminal
  driftlock watch --format jsonl | jq -c 'select(.event == \"drift.detected\")'
  driftlock watch --target production --reconcile 5m
  driftlock watch --only compose_hashes
  driftlock events --follow                     the same events, from the journal
  kill -USR1 PID                                look at everything now")]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    aim: AimArgs,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// After how long everything is looked at, whatever is told: 90s, 10m, 1h
    #[arg(long, value_name = "DURATION", default_value = "10m", help_heading = "What to compare")]
    reconcile: String,
    /// The host's own file, which defines programs, addresses, keys and secrets [default: /etc/driftlock/host.toml]
    #[arg(long, value_name = "FILE")]
    host_config: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    /// Write metrics for the textfile collector of `node_exporter` into FILE, as check --format prometheus=FILE does, and
    /// how many events and watches there are
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// How events are printed [default: terminal on a terminal, else jsonl]
    #[arg(long, value_name = "FORMAT")]
    format: Option<EventFormat>,
}

/// How events are printed.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum EventFormat {
    /// A line of JSON each: driftlock.event/1
    Jsonl,
    /// A line for people each
    Terminal,
}

pub(crate) fn run(session: &Session, args: &WatchArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let reconcile =
        dates::seconds(&args.reconcile).and_then(|it| u64::try_from(it).ok()).filter(|it| *it > 0);
    let Some(reconcile) = reconcile.map(Duration::from_secs) else {
        let shown = escaped(args.reconcile.as_bytes());
        return Err(
            Failure::new(format!("--reconcile {shown}: that is no duration")).hint("write 90s, 10m or 1h")
        );
    };
    let inbox = Arc::new(Inbox::default());
    listen(&inbox)?;
    let job = WatchJob { args, interrupt, inbox, reconcile };
    let mut reading = WatchInput::of(session, args)?;
    let (mut trigger, mut follows) = (HintSource::Start, Follows::default());
    loop {
        let ended = job.watch(&reading, trigger, &mut follows);
        if !matches!(ended, Ok(WatchEnd::Reload)) {
            follows.end();
        }
        match ended? {
            WatchEnd::Asked => return Ok(0),
            WatchEnd::Unread => return Err(Failure::new("nobody reads standard output any more")),
            WatchEnd::Reload => {}
        }
        trigger = HintSource::Reload;
        match WatchInput::of(session, args) {
            Ok(new) => reading = new,
            Err(failure) => say(&failure.before("the configuration stays as it was: ").to_string()),
        }
    }
}

/// What is read once and again when it changes.
struct WatchInput {
    project: Project,
    acknowledged: Vec<Acknowledgement>,
    policies: Vec<Policy>,
    trusting: Option<Trusting>,
}

impl WatchInput {
    fn of(session: &Session, args: &WatchArgs) -> Result<Self, Failure> {
        let mut project = session.project()?;
        let host =
            HostFile::load(args.host_config.as_deref()).map_err(|error| Failure::from(error).of_project())?;
        for warning in host.put_into(&mut project.config) {
            project.control.events.warning(&warning);
        }
        args.aim.take_inventory_of_host(&mut project, &host)?;
        let refused = args.aim.names(&project)?.into_iter().find_map(|name| {
            let target = project.config.targets.get(&name)?;
            host.forbids(&name, target)
        });
        if let Some(why) = refused {
            return Err(Failure::new(why).of_project());
        }
        let acknowledged = with_rules(|rules| acknowledge::load(&project.root, rules));
        let acknowledged = acknowledged.map_err(|error| Failure::from(error).of_project())?;
        let trusting = args.trust.resolve(&project)?;
        let policies = signed_policies::of_project(&project, trusting.as_ref())?;
        args.place(&project)?;
        check_output(&project, args.metrics.as_deref())?;
        Ok(Self { project, acknowledged, policies, trusting })
    }
}

impl WatchArgs {
    /// The one place that is watched.
    fn place(&self, project: &Project) -> Result<Aim, Failure> {
        let mut aims = self.aim.resolve(project, self.choice.docker())?;
        match (aims.pop(), aims.is_empty()) {
            (Some(aim), true) => Ok(aim),
            _ => Err(Failure::new("a watcher watches one place")
                .hint("start one for each target: driftlock watch --target NAME")),
        }
    }
}

/// The failure where the system gives no thread.
fn no_thread(error: &std::io::Error) -> Failure {
    Failure::new(format!("no thread could be started: {}", in_words(error)))
}

/// Puts signals into the inbox, and that nobody reads what is printed.
fn listen(inbox: &Arc<Inbox>) -> Result<(), Failure> {
    let mut signals = Signals::new(OF_SERVICES).map_err(|error| no_thread(&error))?;
    let (inbox, told) = (Arc::clone(inbox), Arc::clone(inbox));
    let listen = move || {
        for signal in signals.forever() {
            match signal {
                SIGHUP => inbox.reload(),
                SIGUSR1 => inbox.everything(HintSource::Signal, None),
                _ => inbox.end(),
            }
        }
    };
    Builder::new().name("signals".to_owned()).spawn(listen).map_err(|error| no_thread(&error))?;
    let wait = move || {
        if output::is_unread_within(None) {
            told.unread();
        }
    };
    Builder::new().name("output".to_owned()).spawn(wait).map(drop).map_err(|error| no_thread(&error))
}

/// What is followed already: it goes on when the configuration is read again.
#[derive(Default)]
struct Follows {
    engine: Option<EngineFollowing>,
    /// The streams that were configured at the start, once that was looked at.
    streams: Option<Vec<RedisStreams>>,
    sender: Option<StreamSender>,
    metrics: Option<WatchMetrics>,
}

impl Follows {
    /// Takes away what holds only while somebody watches.
    fn end(&self) {
        if let Some(Err(failure)) = self.metrics.as_ref().map(WatchMetrics::end) {
            say(&failure.to_string());
        }
    }
}

/// One call of watch.
struct WatchJob<'a> {
    args: &'a WatchArgs,
    interrupt: &'a Interrupt,
    inbox: Arc<Inbox>,
    reconcile: Duration,
}

impl WatchJob<'_> {
    /// Watches with one reading of the configuration.
    fn watch(
        &self,
        reading: &WatchInput,
        trigger: HintSource,
        follows: &mut Follows,
    ) -> Result<WatchEnd, Failure> {
        let WatchInput { project, acknowledged, policies, trusting } = reading;
        let mut aim = self.args.place(project)?;
        let is_over = || self.interrupt.watch.is_cancelled();
        let _alone = state::hold(&project.store_root, aim.target.as_deref(), &is_over)?;
        let files = if aim.server().is_none() && aim.is_machine() { self.files(project) } else { None };
        aim.visitor = files.clone().map(|files| files as Arc<dyn Visitor>);
        if aim.server().is_some() {
            // Its address may be another one now.
            follows.engine = None;
            if aim.docker != DockerMode::Off {
                aim.stay();
            }
        }
        let engine = (aim.is_machine() && aim.docker != DockerMode::Off && follows.engine.is_none())
            .then(|| aim.open(None));
        let (only, require) = (self.args.choice.only(), self.args.choice.require());
        if let Some(file) = &self.args.metrics {
            let new = || WatchMetrics::new(file.clone(), project, aim.target.as_deref());
            follows.metrics.get_or_insert_with(new);
        }
        let source = project.source();
        let auditor = Auditor { project, acknowledged, since_last: None, trusting: trusting.as_ref() };
        let examination = Examination {
            auditor,
            aim: &aim,
            selection: Selection { only: &only, require: &require, subjects: None },
            baseline: BaselineChoice { source: &source, is_named: false },
        };
        let at_state = |error: std::io::Error| Failure::at(&project.store_root.join(state::PATH), &error);
        let mut journal = Journal::open(&project.store_root).map_err(at_state)?;
        let mut open = OpenFindings::read(&project.store_root, aim.target.as_deref()).map_err(at_state)?;
        open.write(&project.store_root).map_err(at_state)?;
        journal.prune(project.config.retention_days).map_err(at_state)?;
        let is_terminal = match self.args.format {
            Some(format) => format == EventFormat::Terminal,
            None => std::io::stdout().is_terminal(),
        };
        self.begin_streams(project, &aim, follows)?;
        let mut print = |event: &Event| {
            follows.sender.iter().for_each(StreamSender::wake);
            let line = if is_terminal { event.in_words() + "\n" } else { event.line() };
            output::print(line.as_bytes())
        };
        let mut engine = engine;
        let mut ready = || {
            if let Some(host) = engine.take() {
                follows.engine = engine::begin(host, Arc::clone(&self.inbox)).ok();
            }
            drop(sd_notify::notify(&[NotifyState::Ready]));
        };
        let mut beat = || drop(sd_notify::notify(&[NotifyState::Watchdog]));
        let every = sd_notify::watchdog_enabled();
        let mut records = WatchRecords { journal: &mut journal, open: &mut open, sink: &mut print };
        let mut watcher = Watcher {
            examination,
            rules: EventRules { config: &project.config.events, policies },
            source: &source,
            inbox: &self.inbox,
            files: files.as_deref(),
            reconcile: self.reconcile,
            watch: &self.interrupt.watch,
            heartbeat: Heartbeat { ready: &mut ready, every, beat: &mut beat },
            metrics: follows.metrics.as_mut(),
        };
        let ended = watcher.run(&mut records, trigger);
        open.write(&project.store_root).map_err(at_state)?;
        ended
    }

    /// Begins to send events to streams and to read hints there, once: a connection outlasts the configuration.
    fn begin_streams(&self, project: &Project, aim: &Aim, follows: &mut Follows) -> Result<(), Failure> {
        let streams: Vec<RedisStreams> = project.config.events.redis.iter().cloned().collect();
        if let Some(before) = &follows.streams {
            if *before != streams {
                let events = &project.control.events;
                events.warning("[events.redis] has changed: that counts when the watcher is started anew");
            }
            return Ok(());
        }
        follows.streams = Some(streams);
        let Some(streams) = &project.config.events.redis else { return Ok(()) };
        let password = streams.password.as_ref().map(|kept| credentials::password(project, kept)).transpose();
        let password = password.map_err(|failure| failure.before("[events.redis]: "))?;
        let server = RedisServer::of(streams, password.as_ref().map(Secret::reveal))?;
        let events = || Arc::clone(&project.control.events);
        if !streams.listen.is_empty() {
            let (listen, inbox) = (streams.listen.clone(), Arc::clone(&self.inbox));
            let begun = redis::listen(server.clone(), listen, aim.name(), inbox, events());
            begun.map_err(|error| no_thread(&error))?;
        }
        let (names, target) = ((streams.prefix.as_str(), streams.keep), aim.target.as_deref());
        let sender = StreamSender::begin(&project.store_root, target, server, names, events());
        follows.sender = Some(sender.map_err(|error| no_thread(&error))?);
        Ok(())
    }

    /// The files of this machine, where they can be watched.
    fn files(&self, project: &Project) -> Option<Arc<FileWatch>> {
        match FileWatch::begin(Arc::clone(&self.inbox)) {
            Ok(files) => Some(Arc::new(files)),
            Err(error) => {
                let why = in_words(&error);
                project.control.events.warning(&format!(
                    "files cannot be watched, and are looked at every {} s: {why}; see sysctl fs.inotify.max_user_instances",
                    waits::POLL.most.as_secs()
                ));
                None
            }
        }
    }
}
