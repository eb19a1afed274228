//! `driftlock pause`: announce a deploy, so that who reads a report meanwhile knows why.

use crate::audit::author::filled;
use crate::audit::author::who;
use crate::cli::completion;
use clap::Args;

use crate::cli::Session;
use crate::cli::terminal::output;
use crate::control::clock::Started;
use crate::control::dates;
use crate::error::Failure;
use crate::model::{Pause, escaped, name_of, time_of_day};
use crate::project::Project;
use crate::store::pause;
use crate::store::pause::{LONGEST, PauseError};

/// Announce a deploy that is under way; show or end it
///
/// Until it ends, reports say so. Drift is reported as always; with check --honour-pause it does not fail the
/// call. It ends by itself, after four hours at most.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock pause --for 20m --reason 'release 18.2'
  driftlock pause --for 1h --reason 'new proxy' --target production
  driftlock pause                               what is announced
  driftlock pause --end
  driftlock check --quiet --honour-pause        for cron: drift during a deploy is no mail")]
pub(crate) struct PauseArgs {
    /// For how long: 90s, 20m, 1h30m; four hours at most
    #[arg(long = "for", value_name = "DURATION", requires = "reason")]
    length: Option<String>,
    /// What is being deployed
    #[arg(long, value_name = "TEXT", requires = "length")]
    reason: Option<String>,
    /// Who deploys [default: git's identity, or the account]
    #[arg(long, value_name = "NAME", requires = "length")]
    by: Option<String>,
    /// End it now
    #[arg(long, conflicts_with = "length")]
    end: bool,
    /// On this target alone [default: everywhere]
    #[arg(long, alias = "env", value_name = "NAME", add = completion::TARGETS.completer())]
    target: Option<String>,
}

pub(crate) fn run(session: &Session, args: &PauseArgs) -> Result<u8, Failure> {
    let project = session.project()?;
    let target = args.target.as_deref();
    if let Some(name) = target {
        project.target(name)?;
    }
    let refused = |error: std::io::Error| {
        Failure::at(&project.named(&project.store_root.join(crate::store::runs::PATH)), &error)
    };
    let told = if args.end {
        let was_there = pause::end(&project.store_root, target).map_err(refused)?;
        let stays =
            pause::under_way(&project.store_root, target, Started::now().unix, &dates::moment).ok().flatten();
        match (was_there, stays) {
            (true, None) => "The deploy is over".to_owned(),
            (false, None) => "No deploy was announced".to_owned(),
            (_, Some(pause)) => {
                format!(
                    "{}; announced for every place, it ends with: driftlock pause --end",
                    in_words(&pause)
                )
            }
        }
    } else if let (Some(length), Some(reason)) = (&args.length, &args.reason) {
        let pause = begun(&project, args, length, reason)?;
        pause::begin(&project.store_root, target, &pause).map_err(refused)?;
        in_words(&pause)
    } else {
        listed(&project, target, Started::now().unix)
    };
    output::print(format!("{told}\n").as_bytes())?;
    Ok(0)
}

/// What is announced for `target`; for the whole project, what is announced for each target alone, too.
fn listed(project: &Project, target: Option<&str>, now: i64) -> String {
    let believed = |found: Result<Option<Pause>, PauseError>| {
        found.unwrap_or_else(|error| {
            error.warn(&*project.control.events);
            None
        })
    };
    let mut lines: Vec<String> = believed(pause::under_way(&project.store_root, target, now, &dates::moment))
        .iter()
        .map(in_words)
        .collect();
    let others = project.config.targets.keys().filter(|_| target.is_none());
    lines.extend(others.filter_map(|name| {
        let own = believed(pause::own(&project.store_root, name, now, &dates::moment))?;
        Some(format!("On {}: {}", escaped(name.as_bytes()), in_words(&own)))
    }));
    if lines.is_empty() { "No deploy is announced".to_owned() } else { lines.join("\n") }
}

fn begun(project: &Project, args: &PauseArgs, length: &str, reason: &str) -> Result<Pause, Failure> {
    let shown = escaped(length.as_bytes());
    let seconds = dates::seconds(length).ok_or_else(|| {
        Failure::new(format!("--for {shown}: that is no duration")).hint("write 90s, 20m or 1h30m")
    })?;
    if seconds < 1 {
        return Err(Failure::new(format!("--for {shown}: a pause lasts 1 second at least")));
    }
    if seconds > LONGEST {
        let failure = Failure::new(format!("--for {shown}: a pause lasts 4 hours at most"));
        return Err(failure.hint("what takes longer is answered for with: driftlock ack"));
    }
    let now = Started::now();
    let until = dates::moment_at(now.unix + seconds);
    let until = until.ok_or_else(|| Failure::new("the clock of this machine is beyond any calendar"))?;
    let (reason, by) = (filled("--reason", reason)?, who(project, args.by.as_deref())?);
    Ok(Pause { reason, by, since: now.rfc3339, until: until.text })
}

fn in_words(pause: &Pause) -> String {
    let (since, until) = (time_of_day(&pause.since), time_of_day(&pause.until));
    let (by, reason) = (escaped(name_of(&pause.by).as_bytes()), escaped(pause.reason.as_bytes()));
    format!("Deploying since {since} (until {until}) by {by}: {reason}")
}
