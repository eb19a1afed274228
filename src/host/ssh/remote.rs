//! A server as a host: connects, asks for the files and for the containers at the same time, and says why it could not.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::connect::{Connection, LoginError, connect, place};
use super::engine::LookedInto;
use super::error::{ScriptError, telling};
use super::run::CommandExit;
use super::survey::{self, Snapshot, Survey, SurveyError};
use super::{Access, Hop, NewKeys, Prompt, Route, Unknown, databases, engine};
use crate::control::runtime::{DrivenRuntime, Runtime};
use crate::control::waits;
use crate::host::docker::{Gathered, MountLook};
use crate::host::mounts::Running;
use crate::host::unseen::Unseen;
use crate::host::{
    AmendFault, Answer, Container, ContainerQuery, ContainersAnswer, Content, DatabaseAnswer, DatabaseQuery,
    Executed, Execution, FileChange, FilePlace, Host, HostError, Layout, Phase, PlaceState, Query,
    ServerCache, StreamEnd, SystemFacts, Watch,
};
use crate::model::{Glob, Mount, MountView, in_words};

/// The interval between looks for a cancelled run.
const POLL: Duration = Duration::from_millis(50);

/// The time for which a server may refuse a session after the one before it has ended.
const ROOM: Duration = waits::SSH_ROOM.most;

/// A server over SSH, with the project's tree where its layout says. One connection serves every call, unless it breaks.
pub struct SshHost {
    route: Route,
    pub(super) layout: Layout,
    pub(super) access: Access,
    prompt: Arc<dyn Prompt>,
    kept: Mutex<Option<Kept>>,
    /// The connection of a host that stays connected.
    standing: Mutex<Option<StandingConnection>>,
    stays: bool,
    /// Tells whoever follows the engine's events that nobody wants them any more.
    left: Notify,
    /// Whether something is under way that must end, whatever is cancelled.
    pub(super) is_busy: AtomicBool,
    /// What earlier looks have read.
    memory: Option<Arc<ServerCache>>,
}

/// The connection of an earlier call, and what drives it.
struct Kept {
    connection: Arc<Connection>,
    runtime: Runtime,
}

/// A connection that stays open, and what drives it for several calls at once.
#[derive(Clone)]
struct StandingConnection {
    connection: Arc<Connection>,
    runtime: Arc<DrivenRuntime>,
}

/// The containers of a server, what was seen of the mounts of those that run, and what they have.
type LookedAt = ((Gathered, BTreeMap<Running, MountView>), LookedInto);

/// A script without an answer.
struct Unanswered {
    error: ScriptError,
    /// Whether it did not even begin.
    heard_nothing: bool,
}

impl SshHost {
    /// A host at the end of `route`.
    #[must_use]
    pub fn new(route: Route, layout: Layout, access: Access, prompt: Arc<dyn Prompt>) -> Self {
        Self {
            route,
            layout,
            access,
            prompt,
            kept: Mutex::default(),
            standing: Mutex::default(),
            stays: false,
            left: Notify::new(),
            is_busy: AtomicBool::new(false),
            memory: None,
        }
    }

    /// The same host, where what is remembered is not read again.
    #[must_use]
    pub fn remembering(self, memory: Option<Arc<ServerCache>>) -> Self {
        Self { memory, ..self }
    }

    /// The same host, where one connection stays open between calls and serves several at once.
    #[must_use]
    pub fn staying(self) -> Self {
        Self { stays: true, ..self }
    }

    /// The connection that stays open, unless it broke.
    fn standing(&self) -> Option<StandingConnection> {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing.take_if(|it| it.connection.handle.is_closed());
        standing.clone()
    }

    /// Keeps a connection for later calls.
    fn keep(&self, kept: Kept) {
        if !self.stays {
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
            return;
        }
        if self.standing().is_some() {
            return;
        }
        let Kept { connection, runtime } = kept;
        if let Ok(runtime) = DrivenRuntime::of(runtime) {
            let standing = StandingConnection { connection, runtime: Arc::new(runtime) };
            *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = Some(standing);
        }
    }

    /// The server's name in messages.
    fn place(&self) -> String {
        self.route.hops.last().map(place).unwrap_or_default()
    }

    /// The error of a job that failed after the user was logged in: what had been done by then, and how long it took.
    pub(super) fn broken(&self, error: &ScriptError, started: Instant, watch: &Watch) -> HostError {
        let seconds = started.elapsed().as_secs_f64();
        let done = match watch.done() {
            (0, _) => "before any file was hashed".to_owned(),
            (files, _) => format!("with {files} files hashed"),
        };
        HostError::Unreachable(format!("{}: {error} ({done}, after {seconds:.1} s)", self.place()))
    }

    async fn ask(
        &self,
        connection: &Connection,
        queries: &[Query],
        watch: &Watch,
    ) -> Result<Vec<Answer>, HostError> {
        let started = Instant::now();
        let mut images = VecDeque::new();
        for query in queries {
            if let Query::Containers(query) = query
                && let Some(image) = &query.image
            {
                // What is made of it is removed in any case, also where the run is cancelled meanwhile.
                self.is_busy.store(true, Ordering::Relaxed);
                let looked = engine::look_into_image(connection, self.access.engine, query, (image, watch));
                images.push_back(looked.await);
                self.is_busy.store(false, Ordering::Relaxed);
            }
        }
        let mut containers = queries.iter().filter_map(|query| match query {
            Query::Containers(query) if query.image.is_none() => Some(query),
            _ => None,
        });
        let listing = ContainerQuery::listing();
        let wants_published = queries.iter().any(Query::asks_for_published);
        let (first, is_listing) = match containers.next() {
            Some(query) => (Some(query), false),
            None => (Some(&listing).filter(|_| wants_published), true),
        };
        let asked = async {
            match first {
                Some(query) => Some(engine::observe(connection, self.access.engine, query).await),
                None => None,
            }
        };
        let surveyed = Box::pin(self.survey(connection, queries, asked, watch)).await;
        let (snapshot, gathered) = surveyed.map_err(|error| self.broken(&error, started, watch))?;
        let published = gathered.as_ref().map(Gathered::published);
        let mut looked = VecDeque::new();
        if let (Some(query), Some(gathered), false) = (first, gathered, is_listing) {
            looked.push_back(self.looked_at(connection, query, gathered, watch).await);
        }
        for query in containers {
            let gathered = engine::observe(connection, self.access.engine, query).await;
            looked.push_back(self.looked_at(connection, query, gathered, watch).await);
        }
        let answers = self.answers(queries, snapshot.as_ref(), (looked, images), watch)?;
        let both = queries.iter().zip(answers);
        Ok(both.map(|(query, answer)| answer.with_published(query, published.as_ref())).collect())
    }

    /// What is seen in the containers that the engine named.
    async fn looked_at(
        &self,
        connection: &Connection,
        query: &ContainerQuery,
        gathered: Gathered,
        watch: &Watch,
    ) -> LookedAt {
        let looked = Box::pin(self.look_at_mounts(connection, query, gathered, watch)).await;
        let inside = Box::pin(self.look_into(connection, query, &looked.0, watch)).await;
        (looked, inside)
    }

    /// Looks up the answer to each query in what was told.
    fn answers(
        &self,
        queries: &[Query],
        snapshot: Option<&Snapshot>,
        (mut containers, mut images): (VecDeque<LookedAt>, VecDeque<ContainersAnswer>),
        watch: &Watch,
    ) -> Result<Vec<Answer>, HostError> {
        let mut answer = |query: &Query| {
            if let Query::Containers(ContainerQuery { image: Some(_), .. }) = query
                && let Some(answer) = images.pop_front()
            {
                return Ok(Answer::Containers(answer));
            }
            let looked = if let Query::Containers(_) = query { containers.pop_front() } else { None };
            let Some(((gathered, views), inside)) = looked else {
                let unseen = Snapshot::default();
                return survey::answer(&self.layout, query, snapshot.unwrap_or(&unseen), watch);
            };
            let known = |running: &Running, _: &[Mount]| views.get(running).cloned().unwrap_or_default();
            let look = Some(&known as MountLook<'_>).filter(|_| !views.is_empty());
            let mut seen = match snapshot {
                Some(snapshot) => gathered.resolve(&self.layout, snapshot, look),
                None => gathered.resolve(&self.layout, &Unseen(&self.layout), look),
            };
            if let ContainersAnswer::Seen { containers, .. } = &mut seen {
                put(containers, inside);
            }
            Ok(Answer::Containers(seen))
        };
        queries.iter().map(&mut answer).collect()
    }

    /// Has the script tell of the files, while `beside` is done; nothing is sent where nothing is asked of them. A second
    /// script begins when `beside` is done: some servers allow no more than two sessions. One that allows no second one at
    /// all runs it after the first.
    pub(super) async fn survey<T>(
        &self,
        connection: &Connection,
        queries: &[Query],
        beside: impl Future<Output = T>,
        watch: &Watch,
    ) -> Result<(Option<Snapshot>, T), ScriptError> {
        let (most, memory) = (self.access.limits.files, self.memory.as_ref());
        let split = Survey::side_by_side(&self.layout, queries, most, memory);
        let Some((survey, second)) = split else { return Ok((None, beside.await)) };
        let second = second.as_ref();
        let first =
            async { self.ask_script(connection, &survey, watch).await.map_err(|failed| failed.error) };
        let rest = async {
            let done = beside.await;
            let Some(second) = second else { return Ok((done, None)) };
            match self.ask_script(connection, second, watch).await {
                Ok(snapshot) => Ok((done, Some(snapshot))),
                Err(failed) if failed.heard_nothing => Ok((done, None)),
                Err(failed) => Err(failed.error),
            }
        };
        let (mut snapshot, (done, told)) = tokio::try_join!(first, rest)?;
        match (second, told) {
            (_, Some(told)) => snapshot.join(told),
            (Some(second), None) => snapshot.join(self.ask_script_at_last(connection, second, watch).await?),
            (None, None) => {}
        }
        let moved = snapshot.take_moved();
        if !moved.is_empty() {
            let again = survey.again(&moved);
            snapshot.join(self.ask_script_at_last(connection, &again, watch).await?);
        }
        Ok((Some(snapshot), done))
    }

    /// The answer of a script that was refused while another one ran: a server may need a moment to see that one's end.
    pub(super) async fn ask_script_at_last(
        &self,
        connection: &Connection,
        survey: &Survey,
        watch: &Watch,
    ) -> Result<Snapshot, ScriptError> {
        let began = Instant::now();
        loop {
            match self.ask_script(connection, survey, watch).await {
                Ok(snapshot) => return Ok(snapshot),
                Err(failed) if failed.heard_nothing && began.elapsed() < ROOM => {
                    tokio::time::sleep(POLL).await;
                }
                Err(failed) => return Err(failed.error),
            }
        }
    }

    /// The answer of one script.
    async fn ask_script(
        &self,
        connection: &Connection,
        survey: &Survey,
        watch: &Watch,
    ) -> Result<Snapshot, Unanswered> {
        let mut reader = survey.reader();
        let (input, time) = (survey.script().to_vec(), self.access.limits.time);
        let ended = connection
            .run(self.command(), input, time, |piece| {
                reader.feed(piece, watch)?;
                Ok(!reader.heard_nothing())
            })
            .await;
        let heard_nothing = reader.heard_nothing();
        let answer = match ended {
            Ok(ended) => reader.finish().map_err(|error| self.explained(error, &ended)),
            Err(error) => Err(error.into()),
        };
        answer.map_err(|error| Unanswered { error, heard_nothing })
    }

    /// The command that runs a script.
    pub(super) fn command(&self) -> &'static str {
        if self.access.sudo { "sudo -n sh -s" } else { "sh -s" }
    }

    /// The error of a script without an answer, with what the server printed about it.
    pub(super) fn explained(&self, source: SurveyError, ended: &CommandExit) -> ScriptError {
        let command = self.command();
        // A shell that runs nothing says why on either of the two.
        match (telling(&ended.stderr).or_else(|| telling(&ended.greeting)), ended.code) {
            (Some(complaint), _) if self.access.sudo => ScriptError::Sudo { command, complaint },
            (Some(complaint), code) => ScriptError::Complaint { source, complaint, command, code },
            (None, 0) => ScriptError::Output(source),
            (None, code) => ScriptError::Code { source, command, code },
        }
    }

    /// Waits for the answer to what is asked over the connection, unless the run is cancelled. A connection that broke since the
    /// call before is made anew.
    pub(super) fn wait<T>(
        &self,
        watch: &Watch,
        asked: &impl AsyncFn(&Connection) -> Result<T, HostError>,
    ) -> Result<T, HostError> {
        if let Some(StandingConnection { connection, runtime }) = self.standing() {
            let answered = self.answered(Some(Arc::clone(&connection)), watch, asked);
            match runtime.block_on(answered) {
                Err(HostError::Unreachable(why)) if connection.handle.is_closed() => again(&why),
                answer => return answer.map(|(answer, _)| answer),
            }
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Kept { connection, runtime }) = kept {
            let handle = Arc::clone(&connection.handle);
            match self.wait_on(runtime, Some(connection), watch, asked) {
                Err(HostError::Unreachable(why)) if handle.is_closed() => again(&why),
                answer => return answer,
            }
        }
        let runtime = Runtime::new().map_err(|error| HostError::Unreachable(in_words(&error)))?;
        self.wait_on(runtime, None, watch, asked)
    }

    /// Waits on a connection, which is kept where an answer came.
    fn wait_on<T>(
        &self,
        runtime: Runtime,
        connection: Option<Arc<Connection>>,
        watch: &Watch,
        asked: &impl AsyncFn(&Connection) -> Result<T, HostError>,
    ) -> Result<T, HostError> {
        let waited = runtime.block_on(self.answered(connection, watch, asked));
        let (answer, connection) = waited.map_err(|error| HostError::Unreachable(in_words(&error)))??;
        self.keep(Kept { connection, runtime });
        Ok(answer)
    }

    /// The answer over a connection, or over a new one, unless the run is cancelled before.
    async fn answered<T>(
        &self,
        connection: Option<Arc<Connection>>,
        watch: &Watch,
        asked: &impl AsyncFn(&Connection) -> Result<T, HostError>,
    ) -> Result<(T, Arc<Connection>), HostError> {
        let cancelled = async {
            while !watch.is_cancelled() || self.is_busy.load(Ordering::Relaxed) {
                tokio::time::sleep(POLL).await;
            }
        };
        let answered = async {
            let connection = if let Some(connection) = connection {
                connection
            } else {
                watch.set_phase(Phase::Connecting);
                Arc::new(self.connect(watch).await?)
            };
            watch.set_phase(Phase::Collecting);
            asked(&connection).await.map(|answer| (answer, connection))
        };
        tokio::select! {
            answer = answered => answer,
            () = cancelled => Err(HostError::Interrupted),
        }
    }

    /// Connects; the user may be asked about a host key, and is connected anew after having said yes.
    pub(super) async fn connect(&self, watch: &Watch) -> Result<Connection, HostError> {
        let mut route = self.route.clone();
        loop {
            let tried = connect(&route, self.prompt.as_ref(), self.access.timeout, watch).await;
            let (hop, unknown) = match tried {
                Ok(connection) => return Ok(connection),
                Err(LoginError::Unknown(hop, unknown)) => (hop, unknown),
                Err(error) => return Err(HostError::Unreachable(error.to_string())),
            };
            let introduced = self.introduce(&hop, &unknown);
            introduced.map_err(|error| HostError::Unreachable(error.to_string()))?;
            for known in route.hops.iter_mut().filter(|other| other.is_same_server(&hop)) {
                known.trust.fingerprints.push(unknown.fingerprint.clone());
            }
        }
    }

    /// Asks the user about a new host key, and records it.
    fn introduce(&self, hop: &Hop, unknown: &Unknown) -> Result<(), LoginError> {
        if hop.trust.new_keys != NewKeys::Ask
            || !self.prompt.believes(&unknown.question(), &unknown.fingerprint)
        {
            return Err(LoginError::Unknown(Box::new(hop.clone()), Box::new(unknown.clone())));
        }
        self.prompt.note(&hop.record(unknown)?);
        Ok(())
    }
}

/// Notes that a connection broke before the call.
fn again(why: &str) {
    log::info!(why; "a connection that broke is made anew");
}

/// Puts what containers have where it was asked for.
fn put(containers: &mut [Container], mut inside: LookedInto) {
    for container in containers {
        for (path, state) in &mut container.contents {
            if let Some(looked) = inside.remove(&(container.name.clone(), path.clone())) {
                *state = looked;
            }
        }
    }
}

impl Host for SshHost {
    fn observe(&self, queries: &[Query], watch: &Watch) -> Result<Vec<Answer>, HostError> {
        self.wait(watch, &async |connection| self.ask(connection, queries, watch).await)
    }

    fn follow_engine(
        &self,
        since: Option<i64>,
        begun: &mut (dyn FnMut() + Send),
        changed: &mut (dyn FnMut(i64) + Send),
    ) -> Result<StreamEnd, HostError> {
        self.wait(&Watch::default(), &async |_| Ok(()))?;
        let Some(StandingConnection { connection, runtime }) = self.standing() else {
            return Ok(StreamEnd::NotOffered("no connection to the server stays open"));
        };
        let followed = runtime.block_on(async {
            tokio::select! {
                ended = engine::follow(&connection, self.access.engine, since, begun, changed) => ended,
                () = self.left.notified() => Ok(StreamEnd::Left),
            }
        });
        followed.map_err(|why| HostError::Unreachable(format!("{}: {why}", self.place())))
    }

    fn leave_engine(&self) {
        self.left.notify_one();
    }

    fn content(&self, path: &[u8], limit: u64, watch: &Watch) -> Result<Content, HostError> {
        self.read_file(path, limit, watch)
    }

    fn contents(&self, wanted: &[(Vec<u8>, u64)], watch: &Watch) -> Result<Vec<Content>, HostError> {
        self.read_files(wanted, watch)
    }

    fn packages_inside(&self, containers: &[Glob], watch: &Watch) -> Result<SystemFacts, HostError> {
        let asked = self.wait(watch, &async |connection| {
            Ok(self.packages_of_containers(connection, containers, watch).await)
        });
        match asked {
            Err(HostError::Unreachable(why)) => Ok(crate::host::docker::unasked(containers, &why)),
            asked => asked,
        }
    }

    fn held(
        &self,
        places: &[FilePlace],
        watch: &Watch,
    ) -> Result<Vec<Result<PlaceState, AmendFault>>, HostError> {
        self.held_there(places, watch)
    }

    fn amend(&self, changes: &[FileChange], watch: &Watch) -> Result<Vec<Result<(), AmendFault>>, HostError> {
        self.amend_there(changes, watch)
    }

    fn execute(&self, execution: &Execution<'_>, watch: &Watch) -> Result<Executed, HostError> {
        self.execute_there(execution, watch)
    }

    fn databases(&self, queries: &[DatabaseQuery], watch: &Watch) -> Result<Vec<DatabaseAnswer>, HostError> {
        self.wait(watch, &async |connection| {
            Ok(databases::observe(connection, self.access.engine, queries).await)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::ssh::{Identities, Trust};

    #[test]
    fn servers_of_one_address_are_told_apart_by_their_ports() {
        let hop = |port| Hop {
            name: "127.0.0.1".to_owned(),
            address: "127.0.0.1".to_owned(),
            port,
            user: "odoo".to_owned(),
            trust: Trust::default(),
            identities: Identities::default(),
        };
        assert!(hop(22).is_same_server(&hop(22)));
        assert!(!hop(22).is_same_server(&hop(2222)), "a yes for one is none for the other");
    }
}
