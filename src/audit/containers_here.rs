//! Containers that were made from this project's compose files and are in no lock file: they are reported as not compared.

use std::sync::mpsc::channel;
use std::thread::{Builder, Scope};

use crate::audit::pipeline::Request;
use crate::audit::target::Aim;
use crate::config::DockerMode;
use crate::control::waits;
use crate::host::{Answer, ContainerQuery, ContainersAnswer, Host, Limited, Query, Watch};
use crate::model::{Glob, LeftOut, Unit};
use crate::section::{IMAGES, find};

/// The way to compare them.
const REMEDY: &str = "driftlock export --docker required --accept";

/// A count of them that is under way.
pub(super) struct Counting(Box<dyn FnOnce() -> Option<LeftOut>>);

impl Counting {
    /// The containers that the engine told of in time; none where there is no engine.
    pub(super) fn finish(self) -> Option<LeftOut> {
        (self.0)()
    }
}

/// Begins to count them, where nobody chose that containers are compared, or that they are not.
pub(super) fn begin<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    request: &Request<'_>,
    aim: &Aim,
    host: &'env dyn Host,
) -> Option<Counting> {
    let files = find(IMAGES).map(|section| request.locks.group(section.lock_files())).unwrap_or_default();
    let is_open = aim.target.is_none() && aim.docker == DockerMode::Auto && !aim.docker_asked;
    if !is_open || !request.only.is_empty() || files.iter().any(|file| file.content.is_some()) {
        return None;
    }
    let query = Query::Containers(ContainerQuery {
        patterns: Glob::new("*").into_iter().collect(),
        named: std::collections::BTreeSet::default(),
        locked: None,
        mounts: true,
        exclude: Vec::new(),
        contents: Vec::new(),
        environments: false,
        image: None,
        ignores_unnamed: true,
        limited: Limited::default(),
        ports: false,
        states: false,
        clock: request.setting.clock,
    });
    let (sender, receiver) = channel();
    // An engine that does not answer holds nobody up.
    let watch = Watch::default();
    let own = watch.child();
    let ask = move || {
        let _ = sender.send(host.observe(&[query], &own));
    };
    Builder::new().spawn_scoped(scope, ask).ok()?;
    Some(Counting(Box::new(move || {
        let answered = receiver.recv_timeout(waits::CONTAINERS_HERE.most);
        watch.cancel();
        let Answer::Containers(ContainersAnswer::Seen { containers, .. }) = answered.ok()?.ok()?.pop()?
        else {
            return None;
        };
        let is_own = |files: &[Option<Vec<u8>>]| files.iter().any(Option::is_some);
        let count = containers.iter().filter(|it| is_own(&it.compose_files)).count() as u64;
        let reason = if count == 1 { "container here" } else { "containers here" }.to_owned();
        (count > 0).then(|| LeftOut { unit: Unit::Subjects, count, reason, remedy: Some(REMEDY.to_owned()) })
    })))
}
