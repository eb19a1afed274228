//! `driftlock fleet worker`: take tasks from a queue, check their targets, and put signed reports back.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Args;
use sd_notify::NotifyState;
use uuid::Uuid;

use super::QueueArgs;
use crate::acknowledge;
use crate::audit::acknowledgements::with_rules;
use crate::audit::examine::{Auditor, BaselineChoice, Examined, Selection};
use crate::audit::inventory::{self, Listed};
use crate::audit::remedies::Advice;
use crate::audit::target::Aim;
use crate::cli::Session;
use crate::cli::args::target::ReachArgs;
use crate::cli::args::trust::TrustArgs;
use crate::cli::terminal::signals::Interrupt;
use crate::config::host_file::HostFile;
use crate::control::waits;
use crate::error::Failure;
use crate::fleet::enrolment;
use crate::fleet::worker::FleetWorker;
use crate::host::{HostError, Watch};
use crate::model::{Digest, Report, escaped, in_words};
use crate::project::Project;

/// Take tasks from a queue, check their targets, and put signed reports back
///
/// Tasks name a target. What that is stands in this root's audit/driftlock.toml and in the host's own file, which alone
/// defines addresses, keys and programs; both are read again for each task. A task that is in work when the worker dies is
/// given to another one when its lease is over. SIGTERM gives tasks back and ends.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock fleet worker --queue redis://queue.example.com --jobs 16
  driftlock fleet worker --queue rediss://worker@queue.example.com --password-file /etc/driftlock/queue
  driftlock fleet worker --queue redis://127.0.0.1 --host-config host.toml --lease 1m")]
pub(crate) struct FleetWorkerArgs {
    /// The Redis server whose streams hold tasks and results: redis://… or rediss://…
    #[arg(long, value_name = "URL", help_heading = "The queue")]
    queue: String,
    #[command(flatten)]
    access: QueueArgs,
    /// How long a task is this worker's own without a sign of life: then another one takes it
    #[arg(long, value_name = "DURATION", default_value = "30s", help_heading = "The queue")]
    lease: String,
    /// How many targets are looked at at the same time
    #[arg(long, value_name = "N", default_value = "8")]
    jobs: NonZeroUsize,
    /// End once no task has come for so long [default: never]
    #[arg(long, value_name = "DURATION", help_heading = "The queue")]
    idle: Option<String>,
    /// The host's own file, which defines programs, addresses, keys and secrets [default: /etc/driftlock/host.toml]
    #[arg(long, value_name = "FILE")]
    host_config: Option<PathBuf>,
    #[command(flatten)]
    reach: ReachArgs,
    #[command(flatten)]
    trust: TrustArgs,
}

pub(crate) fn run(session: &Session, args: &FleetWorkerArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let lease = super::duration("--lease", &args.lease)?;
    let idle = args.idle.as_deref().map(|text| super::duration("--idle", text)).transpose()?;
    let project = session.project()?;
    let server = args.access.server(&project, &args.queue)?;
    let key = enrolment::worker_key(&project)?;
    let events = &*project.control.events;
    let work = TargetLook { session, args, listed: Mutex::new(None) };
    for warning in work.configured()?.1 {
        events.warning(&warning);
    }
    let host: String = escaped(rustix::system::uname().nodename().to_bytes());
    let name = format!("{host}-{}", &Uuid::now_v7().simple().to_string()[16..]);
    events.line(&format!("worker {name} takes tasks from {}, {} at a time", server.shown(), args.jobs));
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let worker = FleetWorker {
        server: &server,
        key: &key,
        name: &name,
        lease,
        jobs: args.jobs,
        idle,
        look: &|target, watch| work.look(target, watch),
        events,
        cancel: &interrupt.watch,
        beat: &|| drop(sd_notify::notify(&[NotifyState::Watchdog])),
    };
    worker
        .run()
        .map_err(|error| Failure::new(format!("no thread could be started: {}", in_words(&error))))?;
    Ok(0)
}

/// Looks at targets as this machine knows them.
struct TargetLook<'a> {
    session: &'a Session,
    args: &'a FleetWorkerArgs,
    /// The hosts of the inventory as they were listed last.
    listed: Mutex<Option<LastListed>>,
}

/// The hosts of an inventory, and when they were listed for which host's own file.
struct LastListed {
    at: Instant,
    host_file: Option<Digest>,
    listed: Listed,
}

impl TargetLook<'_> {
    /// The project as the repository and the host's own file define it now, and what somebody should hear of.
    fn configured(&self) -> Result<((Project, HostFile), Vec<String>), Failure> {
        let mut project = self.session.project()?;
        let host = HostFile::load(self.args.host_config.as_deref());
        let host = host.map_err(|error| Failure::from(error).of_project())?;
        let warnings = host.put_into(&mut project.config);
        Ok(((project, host), warnings))
    }

    /// Adds the hosts of the host's own inventory, where the target is none of its file. They are listed once for the tasks of a
    /// short while.
    fn take_inventory(&self, project: &mut Project, host: &HostFile, name: &str) -> Result<(), Failure> {
        let defines = |name: &str| host.defines(name);
        if inventory::knows(&project.config, Some(&[name.to_owned()]), &defines) {
            return Ok(());
        }
        let mut last = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = last
            .take()
            .filter(|it| it.at.elapsed() < waits::FLEET_HOSTS.most && it.host_file == host.digest());
        let listed = match fresh {
            Some(fresh) => fresh,
            None => match inventory::list(&project.config)? {
                Some(listed) => LastListed { at: Instant::now(), host_file: host.digest(), listed },
                None => return Ok(()),
            },
        };
        last.insert(listed).listed.put_into(&mut project.config, &defines)
    }

    /// Looks at one target, and compares it with the baseline of this root.
    fn look(&self, name: &str, watch: &Watch) -> Result<Report, Failure> {
        let (mut project, host) = self.configured()?.0;
        self.take_inventory(&mut project, &host, name)?;
        let target = project.target(name)?;
        if let Some(why) = host.forbids(name, target) {
            return Err(Failure::new(why).of_project());
        }
        let aim = Aim::target(&project, name, &self.args.reach.reach())?;
        let acknowledged = with_rules(|rules| acknowledge::load(&project.root, rules));
        let acknowledged = acknowledged.map_err(|error| Failure::from(error).of_project())?;
        let trusting = self.args.trust.resolve(&project)?;
        let auditor = Auditor {
            project: &project,
            acknowledged: &acknowledged,
            since_last: None,
            trusting: trusting.as_ref(),
        };
        let source = project.source();
        let baseline = BaselineChoice { source: &source, is_named: false };
        let selection = Selection { only: &[], require: &[], subjects: None };
        let Examined { mut report, evidence, .. } = auditor.examine(&aim, selection, baseline, watch)?;
        if watch.is_cancelled() {
            return Err(HostError::Interrupted.into());
        }
        let advice = Advice {
            project: &project,
            aim: &aim,
            source: &source,
            evidence: &evidence,
            run: Some(""),
            watch,
        };
        advice.give(&mut report);
        Ok(report)
    }
}
