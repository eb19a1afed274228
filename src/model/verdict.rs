//! The one place where findings and dispositions become a verdict, and a verdict an exit code.

use serde::{Deserialize, Serialize};

use super::{CheckResult, Disposition};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
#[cfg_attr(test, schemars(rename = "WireStatus"))]
pub enum Status {
    /// As accepted.
    Pass,
    /// Drift.
    Fail,
    /// Something could not be looked at.
    Error,
    /// Not compared, and need not be.
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

    /// The worst of several: an error goes before drift. Of none it is PASS.
    #[must_use]
    pub fn worst(all: impl IntoIterator<Item = Self>) -> Self {
        let severity = |status: &Self| match status {
            Self::Pass | Self::Skip => 0,
            Self::Fail => 1,
            Self::Error => 2,
        };
        match all.into_iter().max_by_key(severity) {
            None | Some(Self::Skip) => Self::Pass,
            Some(worst) => worst,
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

    /// The meaning of a number; of one that no check ends with it is an error.
    #[must_use]
    pub fn of(code: u8) -> Self {
        [Self::Pass, Self::Drift].into_iter().find(|known| known.code() == code).unwrap_or(Self::Error)
    }

    /// The exit code of several runs: 1 goes before 2, and 2 before 0. Of none it is an error.
    #[must_use]
    pub fn worst(all: impl IntoIterator<Item = Self>) -> Self {
        let severity = |code: &Self| [Self::Pass, Self::Drift, Self::Error].iter().position(|it| it == code);
        all.into_iter().max_by_key(severity).unwrap_or(Self::Error)
    }
}

/// How a whole run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// `PASS` or `FAIL`, nothing else: an alert that looks for FAIL also fires on an error.
    pub overall: Status,
    /// The exit code.
    pub exit: ExitCode,
}

impl Ending {
    /// PASS, FAIL or ERROR: what `overall` says, with an error told from drift.
    #[must_use]
    pub fn status(self) -> Status {
        match self.exit {
            ExitCode::Error => Status::Error,
            ExitCode::Drift => Status::Fail,
            ExitCode::Pass => self.overall,
        }
    }

    /// Whether drift was found that ends with 0, as was asked for during a deploy.
    #[must_use]
    pub fn is_excused(self) -> bool {
        self.exit == ExitCode::Pass && self.overall == Status::Fail
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

impl Verdict {
    /// Both words about the end of the run.
    #[must_use]
    pub fn ending(&self) -> Ending {
        Ending { overall: self.overall, exit: self.exit }
    }

    /// The same of a run during a deploy that excuses drift: it ends with 0, and errors count as ever.
    #[must_use]
    pub fn excused(self) -> Self {
        let exit = if self.exit == ExitCode::Drift { ExitCode::Pass } else { self.exit };
        Self { exit, ..self }
    }

    /// The same of a run whose report could not be written: an error, whatever was found.
    #[must_use]
    pub fn unwritten(self) -> Self {
        Self { exit: ExitCode::Error, ..self }
    }

    /// The same of a run that failed beside its checks: nothing of it passes.
    #[must_use]
    pub fn failed(self) -> Self {
        Self { overall: Status::Fail, exit: ExitCode::Error, ..self }
    }

    /// The verdict over a message that nothing was looked at for.
    #[must_use]
    pub fn of_test(self) -> Self {
        Self { overall: Status::Pass, exit: ExitCode::Pass, nothing_compared: false, ..self }
    }
}

impl CheckResult {
    /// Its status. A check with an unreadable subject, or that could not be carried out, is ERROR; else FAIL with any
    /// finding that counts; else PASS. A check is skipped only when it found nothing and failed at nothing.
    #[must_use]
    pub fn status(&self) -> Status {
        let counts = |drift: bool| {
            self.findings.iter().any(|f| {
                f.kind.is_drift() == drift && (f.disposition == Disposition::Active || !f.kind.is_drift())
            })
        };
        if !self.errors.is_empty() || counts(false) {
            Status::Error
        } else if counts(true) {
            Status::Fail
        } else if self.skip.is_some() {
            Status::Skip
        } else {
            Status::Pass
        }
    }
}

/// Judges a run by its checks.
#[must_use]
pub fn judge(checks: &[CheckResult]) -> Verdict {
    let count = |wanted| checks.iter().filter(|c| c.status() == wanted).count();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_before_two() {
        let worst = |codes: &[u8]| ExitCode::worst(codes.iter().map(|code| ExitCode::of(*code))).code();
        assert_eq!(
            [worst(&[0, 2]), worst(&[2, 1, 0]), worst(&[0]), worst(&[]), worst(&[0, 3])],
            [2, 1, 0, 1, 1]
        );
    }

    #[test]
    fn an_error_goes_before_drift() {
        use Status::{Error, Fail, Pass, Skip};
        let all: [(&[Status], Status); 4] =
            [(&[Pass, Skip], Pass), (&[], Pass), (&[Fail, Pass], Fail), (&[Error, Fail, Skip], Error)];
        for (statuses, worst) in all {
            assert_eq!(Status::worst(statuses.iter().copied()), worst, "{statuses:?}");
        }
    }

    #[test]
    fn a_deploy_excuses_drift_and_no_error() {
        for (exit, excused) in [(ExitCode::Drift, true), (ExitCode::Error, false)] {
            let verdict = Verdict { overall: Status::Fail, exit, ..judge(&[]) }.excused();
            assert_eq!(verdict.ending().is_excused(), excused, "{exit:?}");
            assert_ne!(verdict.ending().status(), Status::Pass, "{exit:?}");
        }
    }
}
