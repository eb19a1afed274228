//! Options that choose checks, and what they mean.

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::check::Check;
use crate::config::DockerMode;

/// Options that choose checks.
#[derive(Args, Default)]
#[command(next_help_heading = "What to compare")]
pub(crate) struct ChoiceArgs {
    /// Carry out this check alone; repeatable
    #[arg(long, value_name = "CHECK", value_parser = PossibleValuesParser::new(check_ids()))]
    only: Vec<String>,
    /// Make it an error when this check is skipped; repeatable
    #[arg(long, value_name = "CHECK", value_parser = PossibleValuesParser::new(check_ids()), hide_possible_values = true)]
    require: Vec<String>,
    /// When containers are compared: where a container of the baseline exists (auto), always, never
    #[arg(long, value_name = "MODE")]
    docker: Option<DockerArg>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum DockerArg {
    Auto,
    Required,
    Off,
}

impl ChoiceArgs {
    pub(crate) fn only(&self) -> Vec<&'static dyn Check> {
        self.only.iter().filter_map(|id| crate::check::find(id)).collect()
    }

    pub(crate) fn require(&self) -> Vec<&'static dyn Check> {
        self.require.iter().filter_map(|id| crate::check::find(id)).collect()
    }

    /// What the command line says about containers.
    pub(crate) fn docker(&self) -> Option<DockerMode> {
        self.docker.map(|mode| match mode {
            DockerArg::Auto => DockerMode::Auto,
            DockerArg::Required => DockerMode::Required,
            DockerArg::Off => DockerMode::Off,
        })
    }
}

fn check_ids() -> Vec<&'static str> {
    crate::check::CHECKS.iter().map(|check| check.id()).collect()
}
