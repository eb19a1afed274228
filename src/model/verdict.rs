//! The one place where findings and dispositions become a verdict.

use super::{CheckResult, Disposition};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Everything was looked at and is as accepted.
    Pass,
    /// Drift.
    Fail,
    /// Something could not be looked at.
    Error,
    /// It could not be compared here, and need not be.
    Skip,
}

impl Status {
    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Error => "ERROR",
            Self::Skip => "SKIP",
        }
    }
}

/// What the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: what was looked at is as accepted.
    Pass,
    /// 1: something could not be checked, or the call was wrong. Goes before drift.
    Error,
    /// 2: drift, and every check could be carried out.
    Drift,
}

impl ExitCode {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Error => 1,
            Self::Drift => 2,
        }
    }
}

/// The judgement over a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Checks that count: passed and failed.
    pub total: usize,
    /// Checks that passed.
    pub passed: usize,
    /// Checks that failed or could not be carried out.
    pub failed: usize,
    /// Those of `failed` that could not be carried out.
    pub errors: usize,
    /// Checks outside the total.
    pub skipped: usize,
    /// No check compared any subject: an error of the whole run.
    pub nothing_compared: bool,
    /// `PASS` or `FAIL`, nothing else: an alert that looks for FAIL also fires on an error.
    pub overall: Status,
    /// The exit code. It is an error, whatever the verdict, when the report could not be written.
    pub exit: ExitCode,
}

/// A check with an unreadable subject, or that could not be carried out, is ERROR; else FAIL with any
/// finding that counts; else PASS. A check is skipped only when it found nothing and failed at nothing.
#[must_use]
pub fn status(check: &CheckResult) -> Status {
    let counts = |drift: bool| {
        check.findings.iter().any(|f| {
            f.kind.is_drift() == drift && (f.disposition == Disposition::Active || !f.kind.is_drift())
        })
    };
    if !check.errors.is_empty() || counts(false) {
        Status::Error
    } else if counts(true) {
        Status::Fail
    } else if check.skip.is_some() {
        Status::Skip
    } else {
        Status::Pass
    }
}

/// Judges a run by its checks.
#[must_use]
pub fn judge(checks: &[CheckResult]) -> Verdict {
    let count = |wanted| checks.iter().filter(|c| status(c) == wanted).count();
    let (passed, drifted, errors) = (count(Status::Pass), count(Status::Fail), count(Status::Error));
    let compared = checks.iter().any(|c| c.compares && c.subjects > 0);
    let exit = if errors > 0 || !compared {
        ExitCode::Error
    } else if drifted > 0 {
        ExitCode::Drift
    } else {
        ExitCode::Pass
    };
    Verdict {
        total: passed + drifted + errors,
        passed,
        failed: drifted + errors,
        errors,
        skipped: count(Status::Skip),
        nothing_compared: !compared && errors == 0,
        overall: if exit == ExitCode::Pass { Status::Pass } else { Status::Fail },
        exit,
    }
}
