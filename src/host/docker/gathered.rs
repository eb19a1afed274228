//! What an engine said of its containers: which of them count, and where their compose files lie.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::life::{Life, RESTARTING};
use super::rows::{BIND, ListedImages};
use crate::host::disk::Disk;
use crate::host::mounts::Running;
use crate::host::{Container, ContainerLimits, ContainerQuery, ContainersAnswer, Layout, Published};
use crate::model::{
    ContentsState, EnvironmentNames, LeftOut, Mount, MountView, PublishedPort, Reason, Unit, any_match,
    full_image_name,
};

/// An engine's answer, before compose files are looked for.
#[derive(Debug)]
pub(in crate::host) enum Gathered {
    /// The engine answered.
    Seen(Vec<RawContainer>, Vec<LeftOut>, Published),
    /// There is no engine, with where it was looked for.
    NoEngine(String),
    /// There is one, and it could not be asked, with the reason.
    Unreachable(String),
}

/// A container whose compose files are what Compose wrote of them.
#[derive(Debug)]
pub(in crate::host) struct RawContainer {
    container: Container,
    config_files: String,
    working_dir: PathBuf,
    running: Option<Running>,
    /// The engine's name for it.
    id: String,
    /// Whether its mounts are looked at.
    counts: bool,
    /// The paths that volumes are binds of, by name, where the engine was asked.
    devices: Option<HashMap<String, String>>,
}

/// A container whose mounts are to be looked at.
#[derive(Debug, Clone, Copy)]
pub(in crate::host) struct MountedContainer<'a> {
    /// Its processes, where the engine names one.
    pub(in crate::host) running: Option<&'a Running>,
    /// Its mounts.
    pub(in crate::host) mounts: &'a [Mount],
    /// The paths that volumes are binds of, by name, where the engine was asked.
    pub(in crate::host) devices: Option<&'a HashMap<String, String>>,
}

/// A container that may be looked into.
#[derive(Debug, Clone, Copy)]
pub(in crate::host) struct NamedContainer<'a> {
    /// Its name.
    pub(in crate::host) name: &'a str,
    /// The engine's name for it.
    pub(in crate::host) id: &'a str,
    /// Its processes, where it has any.
    pub(in crate::host) running: Option<&'a Running>,
    /// Its mounts.
    pub(in crate::host) mounts: &'a [Mount],
}

/// Looks at the mounts of a container that runs.
pub(in crate::host) type MountLook<'a> = &'a dyn Fn(&Running, &[Mount]) -> MountView;

impl Gathered {
    /// The containers whose mounts are to be looked at.
    pub(in crate::host) fn mounted(&self) -> Vec<MountedContainer<'_>> {
        let Self::Seen(containers, ..) = self else { return Vec::new() };
        containers.iter().filter_map(RawContainer::mounted).collect()
    }

    /// All containers.
    pub(in crate::host) fn named(&self) -> Vec<NamedContainer<'_>> {
        let Self::Seen(containers, ..) = self else { return Vec::new() };
        let named = containers.iter().map(|raw| NamedContainer {
            name: &raw.container.name,
            id: &raw.id,
            running: raw.runs(),
            mounts: raw.container.mounts.as_deref().unwrap_or_default(),
        });
        named.collect()
    }

    /// The ports that the engine publishes, of all of its containers.
    pub(in crate::host) fn published(&self) -> Result<Published, Reason> {
        match self {
            Self::Seen(_, _, published) => Ok(published.clone()),
            Self::NoEngine(why) | Self::Unreachable(why) => Err(why.as_str().into()),
        }
    }

    /// Maps compose files and the sources of mounts into the layout, as the disk of their machine has them, and looks at the
    /// mounts of containers that were inspected.
    pub(in crate::host) fn resolve(
        self,
        layout: &Layout,
        disk: &dyn Disk,
        look: Option<MountLook<'_>>,
    ) -> ContainersAnswer {
        match self {
            Self::Seen(containers, left_out, published) => {
                let containers = containers.into_iter().map(|raw| raw.resolve(layout, disk, look)).collect();
                ContainersAnswer::Seen { containers, left_out, published }
            }
            Self::NoEngine(why) => ContainersAnswer::NoEngine(why),
            Self::Unreachable(why) => ContainersAnswer::Unreachable(why),
        }
    }
}

/// Said of a container that runs where nothing is known of its mounts.
const NOT_LISTED: &str = "the engine does not list its mounts";

/// Said of the files of a container into which nobody has looked.
const NOT_READ: &str = "it was not looked into: check again";

impl RawContainer {
    /// The engine's name for it.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Its own name.
    pub(super) fn name(&self) -> &str {
        &self.container.name
    }

    /// Its processes, where the engine names one and its state has some.
    pub(super) fn runs(&self) -> Option<&Running> {
        self.running.as_ref().filter(|_| is_up(&self.container.state))
    }

    /// What is known of its mounts, where they are to be looked at.
    fn mounted(&self) -> Option<MountedContainer<'_>> {
        let mounts = self.container.mounts.as_deref().unwrap_or_default();
        let (running, devices) = (self.running.as_ref(), self.devices.as_ref());
        let is_looked_at = self.counts && is_up(&self.container.state) && has_paths(mounts);
        is_looked_at.then_some(MountedContainer { running, mounts, devices })
    }

    /// The repository path of each compose file, `None` for one that cannot be mapped, and that of each bind's source.
    pub(super) fn resolve(self, layout: &Layout, disk: &dyn Disk, look: Option<MountLook<'_>>) -> Container {
        let files = self.config_files.split(',').filter(|_| !self.config_files.is_empty());
        let places = files.map(|file| absolute(Path::new(file), &self.working_dir, disk));
        let compose_files = places.map(|path| layout.repository_path(&path?, disk)).collect();
        let directory = Some(&self.working_dir).filter(|dir| dir.is_absolute());
        let compose_directory = directory.and_then(|dir| layout.repository_path(dir, disk));
        let mut container = Container { compose_files, compose_directory, ..self.container };
        let mounts = container.mounts.iter_mut().flatten();
        for mount in mounts.filter(|mount| mount.kind == BIND) {
            let path = layout.repository_path(Path::new(&mount.source), disk);
            if let Some(path) = path.and_then(|path| String::from_utf8(path).ok()) {
                mount.source = if path.is_empty() { ".".to_owned() } else { path };
            }
        }
        let mounts = container.mounts.as_deref().unwrap_or_default();
        if let Some(look) = look.filter(|_| self.counts && is_up(&container.state)) {
            container.view = match &self.running {
                _ if container.mounts.is_none() => MountView::Unseen(NOT_LISTED.to_owned()),
                _ if !has_paths(mounts) => MountView::NotConcerned,
                Some(running) => look(running, mounts),
                None => MountView::Unseen("the engine names no process of it".to_owned()),
            };
        }
        container
    }
}

/// Whether a container in this state has processes.
fn is_up(state: &str) -> bool {
    matches!(state, "running" | "paused")
}

/// Whether anything of the engine's machine is mounted.
fn has_paths(mounts: &[Mount]) -> bool {
    mounts.iter().any(|mount| !mount.host_path.is_empty())
}

/// The image that Podman makes for the container that holds a pod together; its tag is Podman's version.
const POD_IMAGE: &str = "localhost/podman-pause:";

/// The place of a compose file. Older Compose writes it relative to the directory it was started in, which
/// is the project's or one above it; the project's is that of its first file, as long as nobody named another.
fn absolute(file: &Path, directory: &Path, disk: &dyn Disk) -> Option<PathBuf> {
    if file.is_absolute() {
        return Some(file.to_owned());
    }
    let candidates = || directory.ancestors().map(|above| above.join(file));
    let beside = candidates().find(|path| path.parent() == Some(directory) && disk.is_file(path));
    beside.or_else(|| candidates().find(|path| disk.is_file(path)))
}

/// A container as an engine lists it.
pub(in crate::host) struct ListedContainer {
    /// The engine's name for it.
    pub(super) id: String,
    /// Its own name, where it has one.
    pub(super) name: Option<String>,
    /// The image it was made of, by name or by ID.
    pub(super) image: String,
    /// The image's ID.
    pub(super) image_id: String,
    /// `running`, …
    pub(super) state: String,
    /// For how many seconds it is up, where that is known.
    pub(super) up: Option<i64>,
    /// Whether it may be one that restarts again and again, by what the list says.
    pub(super) is_open: bool,
    /// Its labels.
    pub(super) labels: Labels,
    /// The names of its networks, where they are listed.
    pub(super) networks: Option<Vec<String>>,
    /// Its mounts, where they are listed.
    pub(super) mounts: Option<Vec<Mount>>,
    /// Its published ports, where they are listed. Podman 4 lists of a range of ports the first one alone.
    pub(super) ports: Option<Vec<PublishedPort>>,
    /// The result of inspecting it, where that was done.
    pub(super) inspected: Option<Inspected>,
    /// The paths that volumes are binds of, by name, where that was asked.
    pub(super) devices: Option<HashMap<String, String>>,
    /// The names of the variables that its image sets, where that was asked.
    pub(super) image_variables: Option<BTreeSet<String>>,
}

/// A container's labels, of which only those of Compose are ever read.
pub(super) struct Labels(pub(super) HashMap<String, String>);

/// The result of inspecting one container.
pub(super) enum Inspected {
    /// It was gone.
    Gone,
    /// The engine's answer about it says nothing that can be used, with the reason.
    Unclear(String),
    /// It was there.
    There {
        /// The image's name as it was asked for.
        image: Option<String>,
        /// Whether it removes itself.
        is_temporary: bool,
        /// Its life.
        life: Option<Life>,
        /// Its state, where that is told.
        status: Option<String>,
        /// Its processes, where it has any.
        processes: Option<Box<Running>>,
        /// Its published ports, where they are told.
        ports: Option<Vec<PublishedPort>>,
        /// The names of its variables, where they are told.
        variables: Option<BTreeSet<String>>,
        /// Its limits, where they are told.
        limits: Option<ContainerLimits>,
    },
}

impl Labels {
    fn compose(&self, name: &str) -> Option<String> {
        self.0.get(&format!("com.docker.compose.{name}")).cloned()
    }
}

impl ListedContainer {
    /// Whether the list gives an ID in place of the image's name.
    fn hides_name(&self) -> bool {
        let hex = self.image_id.strip_prefix("sha256:").unwrap_or(&self.image_id);
        self.image.starts_with("sha256:") || (self.image.len() >= 12 && hex.starts_with(&self.image))
    }

    /// The reason why it is left out by what the list says.
    fn left_out(&self, query: &ContainerQuery) -> Option<&'static str> {
        let Some(name) = &self.name else { return Some("containers without a name") };
        if self.labels.compose("oneoff").is_some_and(|flag| flag.eq_ignore_ascii_case("true")) {
            return Some("one-off containers of Compose");
        }
        let is_clear = !matches!(self.inspected, Some(Inspected::Unclear(_)));
        if is_clear && self.image.is_empty() && matches!(self.image_id.as_str(), "" | "sha256:") {
            return Some("containers without an image");
        }
        if self.image.starts_with(POD_IMAGE) {
            return Some("infrastructure of pods");
        }
        let matched = query.named.contains(name) || any_match(&query.patterns, name.as_bytes());
        (!matched).then_some("not matched by [docker] containers")
    }

    /// Whether it is inspected for its limits, and for nothing else.
    pub(super) fn is_inspected_for_limits(&self, query: &ContainerQuery) -> bool {
        self.wants_inspection(query) && !self.must_be_inspected(query)
    }

    /// Whether the list alone does not tell what is to be known of it.
    pub(super) fn wants_inspection(&self, query: &ContainerQuery) -> bool {
        let name = self.name.as_deref().unwrap_or_default();
        self.must_be_inspected(query) || (self.left_out(query).is_none() && query.limited.has(name))
    }

    /// The same, whatever its limits are: without an inspection it cannot be judged.
    fn must_be_inspected(&self, query: &ContainerQuery) -> bool {
        let name = self.name.as_deref().unwrap_or_default();
        let has_contents = query.contents.iter().any(|wanted| wanted.container.matches(name.as_bytes()));
        let has_paths = query.mounts && has_paths(self.mounts.as_deref().unwrap_or_default());
        let is_looked_at = has_contents || has_paths;
        let is_used = query.locked.is_some() && self.counts(query) && is_up(&self.state) && is_looked_at;
        let is_asked = is_used || self.wants_variables(query);
        let is_wanted = self.left_out(query).is_none()
            && (self.is_open || is_asked || query.states || self.is_unknown(query));
        is_wanted || (query.ports && self.publishes())
    }

    /// Whether it publishes ports now.
    fn publishes(&self) -> bool {
        is_up(&self.state) && self.ports.as_ref().is_some_and(|ports| !ports.is_empty())
    }

    /// Its published ports; `None` where it does not run, or the engine does not tell.
    fn published(&self) -> Option<Vec<PublishedPort>> {
        self.told_ports().filter(|_| is_up(&self.state)).cloned()
    }

    fn told_ports(&self) -> Option<&Vec<PublishedPort>> {
        let inspected = match &self.inspected {
            Some(Inspected::There { ports, .. }) => ports.as_ref(),
            _ => None,
        };
        inspected.or(self.ports.as_ref())
    }

    /// Takes it as the list tells it, where it was gone when it was asked for its limits alone.
    pub(super) fn forget_absence(&mut self, query: &ContainerQuery) {
        if self.is_gone() && !self.must_be_inspected(query) {
            self.inspected = None;
        }
    }

    /// Whether the names of its variables are wanted.
    pub(super) fn wants_variables(&self, query: &ContainerQuery) -> bool {
        let is_of_compose = self.labels.compose("service").is_some();
        query.environments && is_of_compose && self.counts(query) && is_up(&self.state)
    }

    /// The names of its variables, where it was inspected and they are told.
    fn names(&self) -> Option<EnvironmentNames> {
        match (&self.inspected, &self.image_variables) {
            (Some(Inspected::There { variables: Some(own), .. }), Some(image)) => {
                Some(EnvironmentNames { own: own.clone(), image: image.clone() })
            }
            _ => None,
        }
    }

    /// Whether a volume is mounted.
    pub(super) fn has_volumes(&self) -> bool {
        self.mounts.iter().flatten().any(|mount| mount.kind == "volume" && !mount.source.is_empty())
    }

    /// Whether it counts in the end.
    fn counts(&self, query: &ContainerQuery) -> bool {
        !query.ignores_unnamed || self.name.as_ref().is_some_and(|name| query.named.contains(name))
    }

    /// Whether it was gone when it was inspected.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.inspected, Some(Inspected::Gone))
    }

    /// Whether the list alone does not tell its image's name, or that it stays.
    fn is_unknown(&self, query: &ContainerQuery) -> bool {
        let is_known = self.name.as_ref().is_some_and(|name| query.named.contains(name))
            || self.labels.compose("service").is_some();
        self.hides_name() || !is_known
    }

    /// The container, or why it is left out; `None` for one that is gone.
    fn judged(
        mut self,
        images: &ListedImages,
        query: &ContainerQuery,
    ) -> Option<Result<RawContainer, &'static str>> {
        if let Some(reason) = self.left_out(query) {
            return Some(Err(reason));
        }
        let (mut running, mut trouble, environment) = (None, None, self.names());
        self.ports = self.told_ports().cloned();
        let mut limits = None;
        match self.inspected.take() {
            Some(Inspected::Gone) => return None,
            Some(Inspected::Unclear(why)) => trouble = Some(why),
            Some(Inspected::There { is_temporary: true, .. }) if self.is_unknown(query) => {
                return Some(Err("containers that remove themselves (--rm)"));
            }
            Some(Inspected::There { image, life, status, processes, limits: told, .. }) => {
                running = processes.map(|running| *running);
                limits = told;
                let has_ended = is_up(&self.state) && life.as_ref().is_some_and(|life| !life.running);
                // Of one that is down in both, Podman has another word in a list.
                let is_news = |status: &String| query.states && (is_up(status) || is_up(&self.state));
                if life.is_some_and(|life| life.is_restart(&self.state, self.up)) {
                    RESTARTING.clone_into(&mut self.state);
                } else if let Some(status) = status.filter(|status| has_ended || is_news(status)) {
                    self.state = status;
                }
                if let Some(image) = image.filter(|_| self.hides_name()) {
                    self.image = image;
                }
            }
            _ => {}
        }
        let counts = self.counts(query);
        let mut raw = RawContainer { running, counts, ..self.into_raw(images) };
        (raw.container.trouble, raw.container.environment, raw.container.limits) =
            (trouble, environment, limits);
        let name = raw.container.name.clone();
        let its = query.contents.iter().filter(|wanted| wanted.container.matches(name.as_bytes()));
        let unseen = || ContentsState::Unseen(NOT_READ.to_owned());
        raw.container.contents = its.map(|wanted| (wanted.path.clone(), unseen())).collect();
        Some(Ok(raw))
    }

    fn into_raw(self, images: &ListedImages) -> RawContainer {
        let (is_running, ports) = (is_up(&self.state), self.published());
        let (mut mounts, devices) = (self.mounts, self.devices);
        if let Some(mounts) = &mut mounts {
            mounts.sort();
        }
        let newest = images.by_tag.get(&full_image_name(&self.image));
        let label = |name: &str| self.labels.compose(name);
        let container = Container {
            tag_moved: newest.is_some_and(|newest| *newest != self.image_id),
            repo_digests: images.digests.get(&self.image_id).cloned().unwrap_or_default(),
            compose_project: label("project"),
            compose_service: label("service"),
            compose_config_hash: label("config-hash"),
            compose_files: Vec::new(),
            compose_directory: None,
            environment: None,
            name: self.name.unwrap_or_default(),
            image: self.image,
            image_id: self.image_id,
            networks: self.networks.filter(|names| is_running || !names.is_empty()),
            state: self.state,
            mounts,
            ports,
            view: MountView::default(),
            limits: None,
            trouble: None,
            contents: Vec::new(),
        };
        let working_dir = self.labels.compose("project.working_dir").unwrap_or_default().into();
        let config_files = self.labels.compose("project.config_files").unwrap_or_default();
        RawContainer {
            container,
            config_files,
            working_dir,
            running: None,
            id: self.id,
            counts: true,
            devices,
        }
    }
}

/// The containers of a list that count; all that [want it](ListedContainer::wants_inspection) have been inspected.
pub(in crate::host) fn gather(
    listed: Vec<ListedContainer>,
    images: &ListedImages,
    query: &ContainerQuery,
) -> Gathered {
    let mut containers = Vec::new();
    let mut left_out: BTreeMap<&'static str, u64> = BTreeMap::new();
    let named = |listed: &ListedContainer| Some((listed.name.clone()?, listed.published()?));
    let mut published: Published = listed.iter().filter_map(named).collect();
    published.retain(|_, ports| !ports.is_empty());
    for judged in listed.into_iter().filter_map(|listed| listed.judged(images, query)) {
        match judged {
            Ok(raw) => containers.push(raw),
            Err(reason) => *left_out.entry(reason).or_default() += 1,
        }
    }
    containers.sort_by(|a, b| a.container.name.cmp(&b.container.name));
    let left_out = left_out.into_iter().map(|(reason, count)| LeftOut {
        unit: Unit::Subjects,
        count,
        reason: reason.to_owned(),
        remedy: None,
    });
    Gathered::Seen(containers, left_out.collect(), published)
}

#[cfg(test)]
mod tests {
    use super::super::rows::{MountPoint, mount_of, with_algorithm};
    use super::*;
    use crate::host::unseen::Unseen;

    fn query(named: &str, ignores_unnamed: bool) -> ContainerQuery {
        ContainerQuery {
            patterns: vec![crate::model::Glob::new("*").unwrap()],
            named: std::iter::once(named.to_owned()).collect(),
            locked: Some(Vec::new()),
            mounts: true,
            ports: false,
            ignores_unnamed,
            ..ContainerQuery::listing()
        }
    }

    #[test]
    fn a_list_that_is_behind_is_corrected_where_states_are_asked_for() {
        let has = |status: &str, running| Inspected::There {
            image: None,
            is_temporary: false,
            life: Some(Life { running, ..Life::default() }),
            status: Some(status.to_owned()),
            processes: None,
            ports: Some(Vec::new()),
            variables: None,
            limits: None,
        };
        let asked = ContainerQuery { states: true, ..query("web", false) };
        for (listed, own, running, state) in [
            ("running", "exited", false, "exited"),
            ("exited", "running", true, "running"),
            ("running", "paused", true, "paused"),
            ("paused", "running", true, "running"),
            ("stopped", "exited", false, "stopped"),
            ("exited", "exited", false, "exited"),
        ] {
            let mut web = ListedContainer { state: listed.to_owned(), ..of_image("odoo:18", "sha256:ab") };
            assert!(web.wants_inspection(&asked) && !web.wants_inspection(&query("web", false)));
            web.inspected = Some(has(own, running));
            let raw = web.judged(&ListedImages::default(), &asked).unwrap().unwrap();
            assert_eq!(raw.container.state, state, "{listed} {own}");
            let is_up = matches!(state, "running" | "paused");
            assert_eq!(raw.container.ports, is_up.then(Vec::new), "{listed} {own}");
        }
    }

    #[test]
    fn only_containers_that_count_in_the_end_are_looked_at() {
        let mount = Mount { host_path: "/srv".to_owned(), ..mount_of(MountPoint::default()) };
        let web = || ListedContainer {
            labels: Labels(HashMap::from([("com.docker.compose.service".to_owned(), "web".to_owned())])),
            mounts: Some(vec![mount.clone()]),
            ..of_image("odoo:18", "sha256:ab")
        };
        for (named, ignores_unnamed, is_looked_at) in
            [("web", true, true), ("db", true, false), ("db", false, true)]
        {
            let query = query(named, ignores_unnamed);
            assert_eq!(web().wants_inspection(&query), is_looked_at, "{named} {ignores_unnamed}");
            let raw = web().judged(&ListedImages::default(), &query).unwrap().unwrap();
            let layout = Layout::of_root(Path::new("/opt"));
            let look = |_: &Running, _: &[Mount]| MountView::NotConcerned;
            let view = raw.resolve(&layout, &Unseen(&layout), Some(&look)).view;
            assert_eq!(view != MountView::default(), is_looked_at, "{named} {ignores_unnamed}: {view:?}");
        }
    }

    fn of_image(image: &str, image_id: &str) -> ListedContainer {
        ListedContainer {
            id: "c".into(),
            name: Some("web".into()),
            image: image.into(),
            image_id: image_id.into(),
            state: "running".into(),
            up: None,
            is_open: false,
            labels: Labels(HashMap::new()),
            networks: None,
            mounts: None,
            ports: None,
            inspected: None,
            devices: None,
            image_variables: None,
        }
    }

    /// The repository paths of compose files, by their text alone.

    #[test]
    fn an_id_is_told_from_a_name() {
        let id = format!("sha256:{}", "ab".repeat(32));
        let hides_name = |image: &str| of_image(image, &id).hides_name();
        assert!(hides_name(&id) && hides_name(&"ab".repeat(6)));
        assert!(!hides_name("abab") && !hides_name("odoo:18"));
        assert_eq!(with_algorithm(&"ab".repeat(32)), id);
    }

    fn mapped(files: &str, directory: &str) -> Vec<Option<String>> {
        let stacks = (b"infra/stacks".to_vec(), "/srv/stacks".into());
        let layout = Layout::new(Some("/opt/erp".into()), vec![stacks]);
        let raw = RawContainer {
            config_files: files.into(),
            working_dir: directory.into(),
            ..of_image("odoo", "sha256:ab").into_raw(&ListedImages::default())
        };
        let mapped = raw.resolve(&layout, &Unseen(&layout), None).compose_files.into_iter();
        mapped.map(|path| path.map(|path| String::from_utf8(path).unwrap())).collect()
    }

    #[test]
    fn compose_files_of_an_unseen_disk_are_mapped_by_their_text() {
        let one = |files: &str, directory: &str| mapped(files, directory).remove(0);
        let erp = Some("infra/stacks/erp/compose.yml".to_owned());
        assert_eq!(one("/srv/stacks/erp/compose.yml", "/"), erp);
        assert_eq!(one("/srv/stacks/edge/../erp/compose.yml", "/"), erp);
        assert_eq!(one("compose.yml", "/srv/stacks/erp"), erp);
        assert_eq!(one("erp/compose.yml", "/srv/stacks/erp"), erp, "started one directory above");
        assert_eq!(one("../erp/compose.yml", "/srv/stacks/erp"), erp);
        assert_eq!(one("/elsewhere/compose.yml", "/srv/stacks/erp"), None);
        assert_eq!(one("compose.yml", "/elsewhere"), None);
        assert_eq!(one("/srv/stacks/../../etc/compose.yml", "/"), None);
        assert_eq!(mapped("", "/srv/stacks/erp"), []);
        assert_eq!(mapped("/opt/erp/a.yml,/x.yml", "/").len(), 2);
    }
}
