//! Every wait for somebody else, and how long it lasts at most. What is set by the configuration or the command line
//! (`timeout`, `connect_timeout`, `--timeout`) stands where it is read.

use std::time::Duration;

/// A wait that ends by itself.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    /// What is waited for.
    pub on: &'static str,
    /// How long at most.
    pub most: Duration,
    /// What follows where nothing came.
    pub then: &'static str,
}

const fn wait(on: &'static str, seconds: u64, then: &'static str) -> Wait {
    Wait { on, most: Duration::from_secs(seconds), then }
}

const fn moment(on: &'static str, milliseconds: u64, then: &'static str) -> Wait {
    Wait { on, most: Duration::from_millis(milliseconds), then }
}

macro_rules! waits {
    ($($name:ident = $wait:expr;)*) => {
        $(#[doc = concat!("See [`ALL`].")] pub const $name: Wait = $wait;)*
        /// Every wait, in the order of the table in `docs/design.md`.
        pub const ALL: &[Wait] = &[$($name),*];
    };
}

waits! {
    SSH_PROGRAM = wait("`ssh -G` and `ssh -V`, with all that they leave behind", 10, "an error names the program");
    KNOWN_HOSTS_COMMAND = wait("a `KnownHostsCommand`", 10, "the server is an ERROR");
    SSH_KEEPALIVE = wait("a server's answer to a keepalive, three times in a row", 1, "the connection is broken: ERROR");
    SSH_OPENING = wait("a session of a server, and the beginning of the script's answer, whatever is said before", 30, "ERROR");
    SSH_SILENCE = wait("a script that has begun and says nothing", 600, "ERROR; an hour is the most for all of it");
    SSH_WHOLE = wait("all that a script says", 60 * 60, "ERROR");
    SSH_ROOM = wait("a server that refuses a second session while the first ends", 5, "ERROR");
    SSH_AFTERMATH = wait("more of a process that a command left behind", 2, "what was said counts");
    SSH_WHOLE_AFTERMATH = wait("all that such a process says", 60, "what was said counts");
    AGENT_LISTING = wait("an agent that lists its keys", 10, "its keys are not tried");
    AGENT_SIGNING = wait("an agent that signs: it may ask its user, or want to be touched", 120, "the key is not used");
    SYSTEM_PROGRAM = wait("rpm, and systemd that is asked for units", 30, "the section is an ERROR");
    ENGINE = wait("an engine's answer", 10, "its checks are an ERROR");
    CONTAINERS_HERE = wait("an engine that is asked which containers nobody locked", 1, "they are not counted");
    ENGINE_FAREWELL = moment("a command that hung and is told to end", 100, "nothing more");
    CONTAINER_FILES = wait("the files and mounts of one container", 30, "the container is an ERROR");
    DATABASE = wait("one database: connecting, logging in, its modules", 10, "the database is an ERROR");
    DATABASES = wait("all databases of one `[[odoo]]`", 60, "its databases are an ERROR");
    CMDB = wait("a page of a CMDB's answer", 30, "its CIs are an ERROR");
    CMDB_WHOLE = wait("all pages of a CMDB's answer", 120, "its CIs are an ERROR");
    GIT_SOON = wait("git, where it answers at once", 10, "an error, or the section that asks is an ERROR");
    GIT_QUIET = wait("git while it reads objects and says nothing", 60, "ERROR");
    PROVENANCE = wait("the search of the history for what differs", 2, "`unknown`, and why");
    FILE_HISTORY = wait("the search of one file's history for its content", 2, "the lines are not shown");
    LINES = wait("the shortest difference of two texts", 2, "a longer one");
    BASELINE_WRITER = wait("another writer of the baseline", 10, "an error names it");
    RUNS_LOCK = wait("another process that holds the directory of the runs", 10, "an error, after the verdict");
    REPORT_CHAIN = wait("another one that adds a signed report", 30, "an error");
    ACKNOWLEDGED = wait("another writer of the acknowledgements", 30, "an error");
    REPORT_FILE = wait("another writer of the same file of `--format`", 10, "an error");
    OTHER_NOTIFIER = wait("another check that tells the same people", 20, "it may be told twice");
    NOTIFY = wait("all that is told through one notification", 50, "the report says who was not told");
    NOTIFY_RETRY = wait("a server that wants to be left alone before the next attempt", 30, "the next run tells");
    NOTIFY_COMMAND_SAID = wait("the last words of a command that has ended", 1, "nothing more");
    NOTIFY_GRACE = moment("commands that are told to end", 300, "they are left");
    INTERRUPTED = wait("the end of what goes on after SIGINT or SIGTERM", 2, "the process ends");
    UNFINISHED = wait("the removal of a container that driftlock has made, after SIGINT or SIGTERM", 30, "the process ends");
    TERRAFORM_AFTERMATH = wait("a child of Terraform that holds its output once it has ended", 1, "what was said counts");
    TERRAFORM_SOON = wait("a Terraform whose output is not read any more", 2, "it is told to end");
    TERRAFORM_ASKED = wait("a Terraform that was told to end, before it is told again", 5, "it is told again");
    TERRAFORM_KILLED = wait("a Terraform that was told to end", 10, "it is killed");
    TERRAFORM_INTERRUPTED = moment("the same where the user ended the run", 1200, "it is killed");
    QUIET = moment("more hints of a change that was noticed", 10, "what was hinted at is looked at");
    BURST = moment("the same while hints keep coming", 100, "what was hinted at is looked at");
    ENGINE_SOON = moment("the first new attempt to follow an engine's events", 200, "the attempt; each after it waits twice as long");
    ENGINE_AGAIN = wait("the next attempt to follow an engine's events, where it cannot be reached", 30, "the attempt");
    REDIS = wait("a Redis server's answer", 5, "events wait in the journal");
    REDIS_SOON = moment("the first new attempt to reach it", 100, "the attempt; each after it waits twice as long");
    REDIS_AGAIN = wait("the next attempt, where it cannot be reached", 30, "the attempt");
    REDIS_TRIM = wait("the next time that old entries of a stream are trimmed away", 60, "they are");
    REDIS_LISTEN = wait("what others publish, before the server is asked again: one that is gone is found out", 60, "it is asked again");
    REDIS_HINTS = wait("the next look because of what others publish", 1, "the look");
    FLEET_BLOCK = moment("a task of a fleet, or a result, before anything else is looked after", 500, "it is waited for again");
    FLEET_SWEEP = wait("the caller of a sweep to say that it goes on", 30, "its tasks are dropped");
    FLEET_TASKS = wait("the next look whether tasks are still in the queue", 2, "those that are lost are put there again");
    FLEET_RESULT = wait("a caller to fetch a result", 60 * 60, "it is removed");
    FLEET_WORKER = wait("a sign of life of a worker", 60, "it counts as gone");
    FLEET_HOSTS = wait("the hosts of an inventory, before a worker has them listed again", 60, "they are listed again");
    REPORT_AGAIN = wait("more findings that come or go, before another report is written", 10, "it is written");
    METRICS_AGAIN = wait("more events, before the metrics of a watcher are written again", 10, "they are written");
    POLL = wait("a change that no event tells of, where something cannot be watched", 10, "everything is looked at");
    LOOK_AGAIN = wait("an engine that did not answer a watcher, before everything is looked at again", 60, "the look; the first after 10 s");
    OTHER_WATCHER = wait("another watcher of the same place, which may be about to end", 1, "an error names it");
    JOURNAL = wait("another watcher that writes the journal of events", 5, "an error; watching goes on");
    GIT_SERVER_KEY = wait("a git server that shows its host key", 30, "the deployment is an error");
    GIT_FETCH = wait("all that is fetched from a git server", 30 * 60, "the deployment is an error");
    GIT_TREE = wait("the files of a commit, written into a directory", 10 * 60, "the deployment is an error");
    GIT_PUSH = wait("all that is committed and pushed to a git server", 10 * 60, "the acknowledgements wait; it is tried again");
    PUSH_SOON = wait("the first new attempt to push acknowledgements", 2, "the attempt; each after it waits twice as long");
    PUSH_AGAIN = wait("the next attempt, where they cannot be pushed", 10 * 60, "the attempt");
    MIRROR = wait("another process that holds the mirror of a repository", 10, "the deployment is an error");
    HINTED = wait("the next run of a watched deployment because of a hint, after one", 5, "the run");
    TIMETABLE = wait("the next look of the agent at its timetable: clocks are set, machines sleep", 60, "the look");
    AGENT_END = wait("runs that are under way when the agent is asked to end", 4, "they are left behind; the process ends");
    LAST_LOOK = wait("the look at what a repair has done, which has taken longer than it may", 60, "the repair is escalated");
    AGENT_CONNECT = wait("a server that the agent connects to, with its login", 10, "its place is an ERROR");
    TOKENS = wait("another one that changes the agent's tokens", 10, "an error");
    HTTP_HEAD = wait("a client of the agent: its handshake, the head of its next request", 10, "its connection is closed");
    HTTP_BODY = wait("the body of its request", 10, "408");
    HTTP_HANDLER = wait("the answer to a request, with the turn of those before it", 30, "503");
    HTTP_REQUEST = wait("a request from its head to the end of its answer, streams left out", 60, "its connection is closed");
    HTTP_STALL = wait("a client that takes nothing of its answer", 10, "its connection is closed");
    HTTP_LINGER = wait("a client that goes on to send what was refused", 1, "its connection is closed");
    HTTP_IDLE = wait("the next request of a client while others wait for a connection", 1, "its connection is closed");
    HTTP_HEARTBEAT = wait("the next event of a stream", 15, "a comment that keeps it open");
    HTTP_END = wait("connections that are open when the agent ends", 4, "they are closed");
    API_REPAIR = wait("a repair that a client of the agent has asked for, or the steps of one", 20, "202, and the repair goes on; steps: 503");
    LOGIN = wait("more attempts of one address to log in", 60, "they are counted anew");
    SESSION_IDLE = wait("the next request of a session", 60 * 60, "it ends");
    SESSION = wait("a session that nobody ends", 12 * 60 * 60, "it ends");
    TERRAFORM_LOCK = wait("another Terraform that holds the state's lock, where a repair is planned or applied", 60, "the repair is refused, or escalated");
    REMEDY_ENGINE = wait("the engine's client, or Compose, that carries out a step of a repair", 300, "the repair is escalated");
    REMEDY_SETTLED = wait("a container that was started, before it is looked at for the last time", 10, "the repair is escalated");
    SELFTEST = wait("all steps of `selftest`", 120, "the rest is not tried");
}

/// Longer than anybody waits, for what another wait bounds.
pub const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);
