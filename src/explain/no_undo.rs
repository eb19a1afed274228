//! Why no command undoes a finding.

use crate::model::escaped;
use crate::provenance::NoSource;

/// The reason, with what to do instead.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoUndo {
    /// There is no repository: nothing is said.
    #[error("this project is in no git repository")]
    NoRepository,
    /// No commit is known to give the files.
    #[error("{0}")]
    Source(NoSource),
    /// It is of the baseline's own commit, and what writes it makes the difference; with what to do.
    #[error("it is the baseline's own commit in another form; {0}")]
    OtherForm(String),
    /// It was there when the baseline was accepted.
    #[error(
        "it was there when the baseline was accepted by an older rule; accept it, and it is locked by the rule of today"
    )]
    OlderRule,
    /// There are too many files.
    #[error("more of its files differ than a command can name; deploy the release again")]
    TooMany,
    /// A shell drops the end of a name.
    #[error("a name that ends in a line feed fits in no command; move it by hand")]
    LineFeed,
    /// A configuration file is where it may be needed.
    #[error(
        "a configuration file that the baseline does not have stays where it is; accept it, or remove it by hand"
    )]
    Configuration,
    /// A commit has it.
    #[error(
        "a commit holds it ({0}), and what is released stays; accept it, or deploy the release that is meant"
    )]
    Released(String),
    /// A commit has a file of a module.
    #[error("a commit holds {} ({commit}), and what is released stays; accept the module, or deploy the release that is meant", escaped(.path))]
    ReleasedFile {
        /// The path in the module.
        path: Vec<u8>,
        /// The first digits of the commit's id.
        commit: String,
    },
    /// What is behind a link may be another subject's.
    #[error("the link {} is on the way to it, and what lies behind may be of another subject; remove the link where that is what is new", escaped(.0))]
    BehindLink(Vec<u8>),
    /// A name begins with a hyphen.
    #[error("docker would take a name that begins with a hyphen for an option; do it by hand")]
    Option,
    /// A program ends again and again.
    #[error("a restart loop ends with its cause; see what the container says with: {0}")]
    Loop(String),
    /// A container is on its way to another state.
    #[error("the container is {0}; check again when that is over")]
    InMotion(String),
    /// No command of the client leads to a state.
    #[error("no command brings a container that exists into the state {0}; make it anew")]
    State(String),
    /// The path that a container should show is gone.
    #[error(
        "nothing is at the path that the container should show; bring that back, then have the container start anew"
    )]
    NothingThere,
    /// Nothing that driftlock could run does it.
    #[error("{0}")]
    ByHand(String),
    /// Its values are in no lock file.
    #[error("the baseline holds no values; edit the file by hand")]
    Values,
    /// An image is made anew, not mended.
    #[error("deploy the image or the files of the baseline again, and make the container anew")]
    Image,
    /// No container has it.
    #[error("mount it into a container, take it out of the baseline, or set unused = \"ignore\" in [docker]")]
    Unused,
    /// Something in the container lies over the path.
    #[error("{0}, and a restart does not change that; make the container anew without it")]
    Covered(String),
    /// A container that is gone does not say what it was made from.
    #[error(
        "a container that is gone does not say which compose files it was made from; where they are, run: {0}"
    )]
    FilesGone(String),
    /// The repository does not have the compose files.
    #[error(
        "the compose files that the container was made from are not known to be of this project; where they are, run: {0}"
    )]
    FilesElsewhere(String),
    /// Nobody knows how it was made.
    #[error("Docker Compose did not make the container; make it anew as the baseline has it by hand")]
    NotOfCompose,
}

impl From<&NoSource> for NoUndo {
    fn from(why: &NoSource) -> Self {
        Self::Source(why.clone())
    }
}
