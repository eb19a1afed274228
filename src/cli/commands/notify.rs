//! `driftlock notify`: who is told of changes, and trying out whether they are reached.

use crate::model::printable_path;
use std::fmt::Write as _;

use clap::{Args, Subcommand};

use crate::audit::target::Aim;
use crate::baseline;
use crate::check::CHECKS;
use crate::cli::Session;
use crate::cli::terminal::output;
use crate::cli::terminal::output::say;
use crate::cli::terminal::signals::Interrupt;
use crate::config::{Channel, Email, Kept, MailTls, Notify};
use crate::control::clock::Started;
use crate::error::Failure;
use crate::model::{CheckResult, Digest, Report, lasting, printable};
use crate::notify::after_check::words;
use crate::notify::credentials;
use crate::notify::{Event, News, Outlet, Program, send};
use crate::project::Project;
use crate::report::json;

/// Who is told of changes; try out whether they are reached
///
/// Without a command it lists the [notify.NAME] tables of audit/driftlock.toml, and whether their secrets are there;
/// no secret is shown. check tells them when its verdict or its set of findings changes.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock notify               who is configured
  driftlock notify test ops      send a message that is marked as a test")]
pub(crate) struct NotifyArgs {
    #[command(subcommand)]
    command: Option<NotifyCommand>,
}

#[derive(Subcommand)]
enum NotifyCommand {
    /// Send a message that is marked as a test; exit code 0: it was taken, 1: it was not
    Test {
        /// A notification of audit/driftlock.toml
        name: String,
    },
}

pub(crate) fn run(session: &Session, args: &NotifyArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let project = session.project()?;
    match &args.command {
        Some(NotifyCommand::Test { name }) => test(&project, name, interrupt),
        None => list(&project),
    }
}

fn list(project: &Project) -> Result<u8, Failure> {
    let mut text = String::new();
    for (name, notify) in &project.config.notify {
        text += &described(project, name, notify);
    }
    if text.is_empty() {
        text += "Nobody is told: audit/driftlock.toml has no [notify.NAME]\n";
    }
    output::print(text.as_bytes())?;
    project.config.notify.values().for_each(|notify| warn_of_rights(project, notify));
    Ok(0)
}

fn described(project: &Project, name: &str, notify: &Notify) -> String {
    let mut text = format!("{name}: {}\n", notify.channel.kind());
    match &notify.channel {
        Channel::Slack { url } => secret(&mut text, "address", url, credentials::address(project, url).err()),
        Channel::Webhook { url, token } => {
            secret(&mut text, "address", url, credentials::address(project, url).err());
            if let Some(token) = token {
                secret(&mut text, "token", token, credentials::token(project, token).err());
            }
        }
        Channel::Command { argv } => {
            let _ = writeln!(text, "  command: {}", Program::new(argv, &project.root).shown());
        }
        Channel::Email(email) => mail(&mut text, project, email),
    }
    let places = notify.targets.as_ref().map_or_else(|| "every place".to_owned(), |names| names.join(", "));
    let reminded = notify.remind_after.map_or_else(
        || "never".to_owned(),
        |seconds| format!("every {} while it does not pass", lasting(seconds)),
    );
    let _ = writeln!(text, "  told of: {places}\n  reminded: {reminded}");
    text
}

fn mail(text: &mut String, project: &Project, email: &Email) {
    let encryption = match email.tls {
        MailTls::StartTls => "STARTTLS",
        MailTls::Implicit => "TLS",
        MailTls::None => "not encrypted",
    };
    let to: Vec<String> = email.to.iter().map(|it| printable(&it.to_string())).collect();
    let _ = writeln!(text, "  server: {}, port {}, {encryption}", email.server, email.port);
    let _ = writeln!(text, "  from: {}\n  to: {}", printable(&email.from.to_string()), to.join(", "));
    if let Some((user, kept)) = &email.login {
        let _ = writeln!(text, "  user: {}", printable(user));
        secret(text, "password", kept, credentials::password(project, kept).err());
    }
}

fn secret(text: &mut String, what: &str, kept: &Kept, wrong: Option<Failure>) {
    let state = match wrong {
        None => format!("in {}", credentials::called(kept)),
        Some(failure) => format!("not usable: {}", failure.in_one_line()),
    };
    let _ = writeln!(text, "  {what}: {state}");
}

/// The places of the secrets of a notification.
fn kept(notify: &Notify) -> Vec<&Kept> {
    match &notify.channel {
        Channel::Slack { url } => vec![url],
        Channel::Webhook { url, token } => std::iter::once(url).chain(token).collect(),
        Channel::Command { .. } => Vec::new(),
        Channel::Email(email) => email.login.iter().map(|(_, kept)| kept).collect(),
    }
}

fn warn_of_rights(project: &Project, notify: &Notify) {
    for why in kept(notify).into_iter().filter_map(|kept| credentials::open_to_others(project, kept)) {
        say(&format!("warning: {why}"));
    }
}

fn test(project: &Project, name: &str, interrupt: &Interrupt) -> Result<u8, Failure> {
    let configured = &project.config.notify;
    let notify = configured.get(name).ok_or_else(|| {
        let known: Vec<&str> = configured.keys().map(String::as_str).collect();
        let name = printable_path(name.as_ref());
        let failure = Failure::new(format!("no notification \"{name}\" in audit/driftlock.toml"));
        failure.hint(match known.as_slice() {
            [] => "none is configured: add one as [notify.NAME]".to_owned(),
            known => format!("configured: {}", known.join(", ")),
        })
    })?;
    warn_of_rights(project, notify);
    let report = test_report(project);
    let (json, words) = (json::bytes_of(&report), words(project, &report));
    let news = News { number: 0, report, json, earlier: None, unchanged_since: None, words };
    let way = credentials::way(project, &notify.channel);
    let outlet = Outlet { name: name.to_owned(), notify: notify.clone(), way };
    let outcome = send(&outlet, Event::Test, &news, &interrupt.watch);
    match outcome.error {
        None => {
            output::print(format!("{name}: the test message was taken\n").as_bytes())?;
            Ok(0)
        }
        Some(why) => {
            let said = outcome.said.iter().map(|said| format!("; it said: {said}")).collect::<String>();
            Err(Failure::new(format!("{name} was not told: {why}{said}")))
        }
    }
}

/// A report that says of itself that nothing was looked at, and that nobody need wake up for.
fn test_report(project: &Project) -> Report {
    let why = "this is a test message: nothing was looked at";
    let checks: Vec<CheckResult> = CHECKS
        .iter()
        .take(1)
        .map(|check| CheckResult { skip: Some(why.to_owned()), ..CheckResult::new(check.meta()) })
        .collect();
    let report =
        Aim::local(project).report(project, &Started::now(), checks, baseline::PATH, Digest::of(b""));
    Report { run: "test".to_owned(), verdict: report.verdict.of_test(), ..report }
}
