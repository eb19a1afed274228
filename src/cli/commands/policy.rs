//! `driftlock policy`: which policy each open finding meets, and why.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::audit::signed_policies;
use crate::cli::Session;
use crate::cli::args::trust::TrustArgs;
use crate::cli::completion;
use crate::cli::terminal::output;
use crate::config::host_file::HostFile;
use crate::config::policies::{Affair, Policy, Repair};
use crate::error::Failure;
use crate::events::event::{Event, Happened, Scene};
use crate::events::inbox::HintSource;
use crate::events::rules::EventRules;
use crate::model::{Finding, Report, escaped};
use crate::project::Project;
use crate::store::open_run::newest_report;

/// Look at what policies make of findings
#[derive(Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    what: PolicyCommand,
}

#[derive(Subcommand)]
enum PolicyCommand {
    Test(PolicyTestArgs),
}

/// Show which policy of audit/policies.toml each open finding meets, and why
///
/// Takes the findings of the newest report; nothing is looked at, sent or repaired. The first policy that a finding meets holds.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock check; driftlock policy test
  driftlock policy test --target production
  driftlock policy test --format json | jq '.[] | select(.policy == null)'")]
struct PolicyTestArgs {
    /// Findings of a target
    #[arg(long, alias = "env", value_name = "NAME", add = completion::TARGETS.completer())]
    target: Option<String>,
    /// The host's own file, which says what may be repaired without a person [default: /etc/driftlock/host.toml]
    #[arg(long, value_name = "FILE")]
    host_config: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    /// How to tell it
    #[arg(long, value_name = "NAME", default_value = "terminal")]
    format: PolicyFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PolicyFormat {
    /// For people
    Terminal,
    /// For scripts: an array of objects
    Json,
}

/// What policies make of one finding.
#[derive(serde::Serialize)]
struct PolicyMatch {
    check: String,
    subject: String,
    category: Option<String>,
    severity: Option<String>,
    policy: Option<String>,
    /// Why each policy before that one is not for it.
    passed_over: Vec<String>,
    /// What follows.
    effects: Vec<String>,
}

pub(crate) fn run(session: &Session, args: &PolicyArgs) -> Result<u8, Failure> {
    let PolicyCommand::Test(args) = &args.what;
    let mut project = session.project()?;
    let of_project = |error: crate::config::ConfigError| Failure::from(error).of_project();
    let host = HostFile::load(args.host_config.as_deref()).map_err(of_project)?;
    host.put_into(&mut project.config);
    if let Some(name) = &args.target {
        project.target(name)?;
    }
    let trusting = args.trust.resolve(&project)?;
    let policies = signed_policies::of_project(&project, trusting.as_ref())?;
    let report = newest_report(&project, args.target.as_deref())?;
    let rules = EventRules { config: &project.config.events, policies: &policies };
    let all: Vec<PolicyMatch> = report
        .checks
        .iter()
        .flat_map(|check| check.findings.iter().map(move |finding| (check.id, finding)))
        .filter(|(_, finding)| finding.is_open_drift() || !finding.kind.is_drift())
        .map(|(check, finding)| matched(&project, (check, finding), rules, args.target.as_deref()))
        .collect();
    output::print(
        match args.format {
            PolicyFormat::Json => {
                let text = serde_json::to_string_pretty(&all).unwrap_or_default();
                text + "\n"
            }
            PolicyFormat::Terminal => in_words(&all, &report),
        }
        .as_bytes(),
    )?;
    Ok(0)
}

fn matched(
    project: &Project,
    (check, finding): (&'static str, &Finding),
    rules: EventRules<'_>,
    target: Option<&str>,
) -> PolicyMatch {
    let scene = Scene { target, trigger: HintSource::Signal };
    let mut event = Event::new(Happened::Detected, scene).about(check, finding);
    event.category = finding.category.or_else(|| crate::check::meta(check).map(|meta| meta.category));
    let policy = rules.judge(&mut event);
    let subject = event.subject.clone().unwrap_or_default();
    let affair = Affair {
        category: event.category,
        check,
        subject: &subject,
        target: target.unwrap_or("local"),
        ci_type: event.ci_type.as_deref(),
        fields: &event.fields,
    };
    let before = rules.policies.iter().take_while(|it| policy.is_none_or(|policy| policy.name != it.name));
    let passed_over = before.filter_map(|it| {
        let (key, has) = it.first_unmet(affair)?;
        Some(format!(
            "{}: its {key} does not match \"{}\"",
            escaped(it.name.as_bytes()),
            escaped(has.as_bytes())
        ))
    });
    PolicyMatch {
        check: check.to_owned(),
        subject: escaped(subject.as_bytes()),
        category: event.category.map(|it| it.word().to_owned()),
        severity: event.severity.map(|it| it.word().to_owned()),
        policy: policy.map(|it| escaped(it.name.as_bytes())),
        passed_over: passed_over.collect(),
        effects: policy.map(|policy| effects(project, policy)).unwrap_or_default(),
    }
}

/// What a policy has done about a finding, in words.
fn effects(project: &Project, policy: &Policy) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(names) = &policy.notify {
        all.push(if names.is_empty() {
            "nobody is told".to_owned()
        } else {
            format!("told by {}", names.join(", "))
        });
    }
    if let Some((from, until)) = policy.quiet {
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        all.push(format!("quiet from {} to {}", time(from), time(until)));
    }
    all.extend(policy.auto_change_request.as_ref().map(|name| format!("change request by {name}")));
    if let Some(repair) = &policy.auto_remediate {
        let how = match repair {
            Repair::Undo => "its undo".to_owned(),
            Repair::Program(name) => format!("[remediations.{name}]"),
        };
        let gate = &project.config.remediation;
        all.push(if gate.allow.is_empty() {
            format!("{how} would repair it, but [remediation] of the host's own file allows nothing")
        } else {
            let allowed: Vec<&str> = gate.allow.iter().map(|kind| kind.word()).collect();
            let (subject, host) = (gate.per_subject, gate.per_host);
            format!(
                "repaired by {how} while driftlock watches; the host allows {}; {subject} a subject, {host} in all",
                allowed.join(", ")
            )
        });
    }
    if policy.needs_approval() {
        all.push("not before somebody approves it".to_owned());
    }
    all
}

fn in_words(all: &[PolicyMatch], report: &Report) -> String {
    let mut text = format!("Findings of {}:\n", escaped(report.run.as_bytes()));
    if all.is_empty() {
        text.push_str("  nothing drifts\n");
    }
    for it in all {
        let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        let _ = writeln!(
            text,
            "\n  {}/{} (category {}, severity {})",
            it.check,
            it.subject,
            word(&it.category),
            word(&it.severity)
        );
        let _ = match &it.policy {
            Some(policy) => writeln!(text, "    policy: {policy}"),
            None => writeln!(text, "    no policy is for it"),
        };
        for line in it
            .effects
            .iter()
            .map(|it| format!("- {it}"))
            .chain(it.passed_over.iter().map(|it| format!("not {it}")))
        {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}
