//! Carrying out steps, one after the other, on a host or on this machine.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use super::step::{FileStep, RemedyStep};
use crate::config::Repairer;
use crate::control::Environment;
use crate::control::waits;
use crate::host::{
    AmendFault, Executed, Execution, FileChange, FilePlace, Host, HostError, PlaceState, Watch, amend,
};
use crate::model::{any_match, escaped};
use crate::notify::FetchError;
use crate::terraform::{Proposal, ProposalError};

/// Variables that a client of an engine gets.
const OF_ENGINES: [&str; 9] = [
    "PATH",
    "HOME",
    "USER",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "XDG_RUNTIME_DIR",
];
/// Variables that a program of the host's own file gets in any case.
const OF_PROGRAMS: [&str; 4] = ["PATH", "HOME", "USER", "LANG"];

/// Where programs begin: whoever calls driftlock may stand in a directory of somebody else.
const BEGINS_IN: &str = "/";
/// A value that is shorter hides nothing.
const SHORTEST_SECRET: usize = 4;

/// Why a step was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum StepFault {
    /// A file was not changed.
    #[error("{path}: {fault}")]
    File { path: String, fault: AmendFault },
    /// The host could not be reached, or a program not be started or ended.
    #[error("{0}")]
    Host(#[from] HostError),
    /// A program failed.
    #[error("{what} ended with {end}{said}")]
    Program {
        /// The program.
        what: String,
        /// `exit code 1`, `a signal`.
        end: String,
        /// The end of what it said.
        said: String,
    },
    /// A server did not repair.
    #[error("{0}")]
    Server(#[from] FetchError),
    /// Terraform did not apply, or not to its end.
    #[error("terraform apply: {0}")]
    Terraform(#[from] ProposalError),
    /// The user ended the run.
    #[error("interrupted before it was begun")]
    Interrupted,
}

/// Where steps are carried out.
pub(super) struct Stage<'a> {
    pub(super) host: &'a dyn Host,
    /// How the engine's client is called there: `docker`, `sudo docker`.
    pub(super) docker: &'a str,
    pub(super) environment: &'a Environment,
    /// The finding of a program, in variables.
    pub(super) about: Vec<(String, OsString)>,
    pub(super) repairer: Option<&'a Repairer>,
    /// What is done by what is no host: Terraform, and servers.
    pub(super) others: &'a dyn Others,
}

/// Steps that no host carries out.
pub(super) trait Others {
    /// Applies a plan of Terraform.
    fn apply(&self, proposal: &Proposal) -> Result<(), ProposalError>;
    /// Asks a server to repair.
    fn ask(&self, timeout: Duration) -> Result<(), FetchError>;
}

/// Nobody: for looks that carry nothing out.
pub(super) struct Nobody;

impl Others for Nobody {
    fn apply(&self, _: &Proposal) -> Result<(), ProposalError> {
        Ok(())
    }

    fn ask(&self, _: Duration) -> Result<(), FetchError> {
        Ok(())
    }
}

impl Stage<'_> {
    /// Carries out one step.
    pub(super) fn carry_out(&self, step: &RemedyStep, watch: &Watch) -> Result<(), StepFault> {
        if watch.is_cancelled() {
            return Err(StepFault::Interrupted);
        }
        match step {
            RemedyStep::Files(files) => self.write(files, watch),
            RemedyStep::Container { verb, name } => {
                self.engine(&[verb.as_bytes().to_vec(), name.clone().into_bytes()], watch)
            }
            RemedyStep::Service { recreates, files, project, service } => {
                let files = files.iter();
                let mut words: Vec<Vec<u8>> = files
                    .flat_map(|file| [b"--file".to_vec(), file.as_os_str().as_bytes().to_vec()])
                    .chain([b"--project-name".to_vec(), project.clone().into_bytes()])
                    .collect();
                let verb: &[&str] = if *recreates {
                    &["up", "--detach", "--no-deps", "--force-recreate"]
                } else {
                    &["restart"]
                };
                words.extend(verb.iter().map(|word| word.as_bytes().to_vec()));
                words.push(service.clone().into_bytes());
                self.compose(words, watch)
            }
            RemedyStep::Run { argv, timeout, .. } => {
                let argv: Vec<Vec<u8>> = argv.iter().map(|word| word.clone().into_bytes()).collect();
                let mut variables = self.variables(&OF_PROGRAMS);
                let given: Vec<(String, OsString)> = self.given().collect();
                variables.extend(given.iter().cloned());
                variables.extend(self.about.iter().cloned());
                let execution = Execution {
                    argv: &argv,
                    variables: &variables,
                    dir: Some(BEGINS_IN.as_ref()),
                    time: *timeout,
                };
                let ended = amend::run(&execution, &|| watch.is_cancelled())?;
                succeeded(&argv, &Executed { said: without(&ended.said, &given), ..ended })
            }
            RemedyStep::Ask { timeout, .. } => Ok(self.others.ask(*timeout)?),
            RemedyStep::Apply { proposal, .. } => Ok(self.others.apply(proposal)?),
        }
    }

    /// The variables that the host's own file lets the program have.
    fn given(&self) -> impl Iterator<Item = (String, OsString)> {
        let env = match self.repairer {
            Some(Repairer::Program { env, .. }) => env.as_slice(),
            _ => &[],
        };
        let is_given = |name: &[u8]| any_match(env, name);
        let given = self.environment.beginning("").filter(move |(name, _)| is_given(name.as_encoded_bytes()));
        given.map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_owned()))
    }

    fn variables(&self, names: &[&str]) -> Vec<(String, OsString)> {
        let value = |name: &&str| Some(((*name).to_owned(), self.environment.non_empty(name)?.to_owned()));
        names.iter().filter_map(value).collect()
    }

    /// The first of files that are no longer what the plan was made of.
    pub(super) fn moved<'f>(
        &self,
        files: &[&'f FileStep],
        watch: &Watch,
    ) -> Result<Option<(&'f FileStep, AmendFault)>, HostError> {
        let places: Vec<FilePlace> = files.iter().map(|file| file.change.place.clone()).collect();
        let standing = self.host.held(&places, watch)?;
        let moved = |file: &FileStep, standing: Result<PlaceState, AmendFault>| match standing {
            Ok(standing) if standing.state() == file.change.before => None,
            Ok(_) => Some(AmendFault::Moved),
            Err(fault) => Some(fault),
        };
        Ok(files.iter().zip(standing).find_map(|(file, standing)| Some((*file, moved(file, standing)?))))
    }

    fn write(&self, files: &[FileStep], watch: &Watch) -> Result<(), StepFault> {
        // What is taken away goes first: it may stand where a directory belongs.
        let mut order: Vec<&FileStep> = files.iter().collect();
        order.sort_by_key(|file| file.change.after != PlaceState::Nothing);
        let changes: Vec<FileChange> = order.iter().map(|file| file.change.clone()).collect();
        let done = self.host.amend(&changes, watch)?;
        let failed = order.iter().zip(done).find_map(|(file, done)| Some((file, done.err()?)));
        match failed {
            Some((file, fault)) => Err(StepFault::File { path: escaped(&file.path), fault }),
            None => Ok(()),
        }
    }

    /// Runs the engine's client on the host.
    fn engine(&self, words: &[Vec<u8>], watch: &Watch) -> Result<(), StepFault> {
        let argv: Vec<Vec<u8>> = self.client().into_iter().chain(words.iter().cloned()).collect();
        succeeded(&argv, &self.on_host(&argv, watch)?)
    }

    fn client(&self) -> Vec<Vec<u8>> {
        let words = self.docker.split(' ').flat_map(|word| match word {
            // Nobody is there to be asked for a password.
            "sudo" => vec!["sudo", "-n"],
            word => vec![word],
        });
        words.map(|word| word.as_bytes().to_vec()).collect()
    }

    /// Runs Compose on the host: the engine's plugin or, where there is none, the program of its own.
    fn compose(&self, words: Vec<Vec<u8>>, watch: &Watch) -> Result<(), StepFault> {
        let plugin = [self.client(), vec![b"compose".to_vec()]].concat();
        let asked = [plugin.clone(), vec![b"version".to_vec()]].concat();
        let has_plugin = self.on_host(&asked, watch).is_ok_and(|ended| ended.code == Some(0));
        let mut client = self.client();
        if let Some(last) = client.last_mut().filter(|_| !has_plugin) {
            *last = b"docker-compose".to_vec();
        }
        let argv = [if has_plugin { plugin } else { client }, words].concat();
        succeeded(&argv, &self.on_host(&argv, watch)?)
    }

    fn on_host(&self, argv: &[Vec<u8>], watch: &Watch) -> Result<Executed, HostError> {
        let variables = self.variables(&OF_ENGINES);
        let time = waits::REMEDY_ENGINE.most;
        let dir = Some(BEGINS_IN.as_ref());
        self.host.execute(&Execution { argv, variables: &variables, dir, time }, watch)
    }
}

/// What a program said, without the values of variables that may be secrets.
fn without(said: &[u8], given: &[(String, OsString)]) -> Vec<u8> {
    let mut text = String::from_utf8_lossy(said).into_owned();
    for (_, value) in given {
        let value = value.to_string_lossy();
        if value.len() >= SHORTEST_SECRET {
            text = text.replace(&*value, "(hidden)");
        }
    }
    text.into_bytes()
}

fn succeeded(argv: &[Vec<u8>], ended: &Executed) -> Result<(), StepFault> {
    if ended.code == Some(0) {
        return Ok(());
    }
    let end = ended.code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
    let said = String::from_utf8_lossy(&ended.said).into_owned();
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    let said = last.map(|line| format!(": {}", escaped(line.trim().as_bytes()))).unwrap_or_default();
    let what = argv.first().map(|word| escaped(word)).unwrap_or_default();
    Err(StepFault::Program { what, end, said })
}
