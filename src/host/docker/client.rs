//! The containers as the docker client tells them: two commands, for where nothing else is allowed.

use std::collections::{BTreeSet, HashMap};

use super::failure::short;
use super::gathered::{Inspected, Labels, ListedContainer};
use super::life::{self, Life};
use super::rows::{Bindings, LimitRow, MountPoint, mount_of, published_as, with_algorithm};
use crate::host::mounts::Running;

/// The labels of Compose that are asked for; no other leaves the server.
const LABELS: [&str; 6] =
    ["oneoff", "project", "service", "config-hash", "project.working_dir", "project.config_files"];

/// Fields of a container.
const FIELDS: [&str; 6] = ["Id", "Name", "Image", "Config.Image", "State.Status", "HostConfig.AutoRemove"];
/// Fields about its life.
const LIFE: [&str; 7] = [
    "State.Running",
    "State.Restarting",
    "State.Pid",
    "RestartCount",
    "HostConfig.RestartPolicy.Name",
    "Created",
    "State.StartedAt",
];

/// Its limits.
const LIMITS: [&str; 4] =
    ["HostConfig.NanoCpus", "HostConfig.Memory", "HostConfig.CpuQuota", "HostConfig.CpuPeriod"];

/// The script's own code for a list of containers that is none; a client's are below it.
const NO_IDS: u32 = 999;

/// The reason why a docker client did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) enum ClientRefusal {
    /// There is none.
    NoClient,
    /// There is no sudo.
    NoSudo,
    /// This user may not use the engine.
    NoPermission,
    /// Sudo does not allow it without a password.
    Password,
    /// The engine does not answer its client; the text says what that was.
    NotRunning(String),
    /// Something else that it said.
    Said(String),
}

impl ClientRefusal {
    /// The reason by how the client ended and what it said.
    pub(in crate::host) fn of(code: Option<u32>, stderr: &[u8]) -> Self {
        let text = String::from_utf8_lossy(stderr);
        let text: Vec<&str> = text.lines().filter(|line| !line.starts_with("WARNING")).collect();
        let text = text.join("\n");
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if code == Some(127) && says(&["sudo: "]) {
            Self::NoSudo
        } else if code == Some(127) || says(&["docker: command not found"]) {
            Self::NoClient
        } else if says(&["password is required", "may not run sudo", "not allowed to", "not in the sudoers"])
        {
            Self::Password
        } else if says(&["permission denied", "Permission denied"]) {
            Self::NoPermission
        } else if says(&["annot connect to the Docker daemon", "Is the docker daemon running"]) {
            Self::NotRunning(short(&text))
        } else {
            let told = short(&text);
            let code = code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
            Self::Said(if told.is_empty() { code } else { format!("{told} ({code})") })
        }
    }
}

/// The template for each container: a line of JSON with the values of an [`InspectRow`].
fn template() -> String {
    let label = |name: &&str| format!("{{{{json (index .Config.Labels \"com.docker.compose.{name}\")}}}}");
    let field = |name: &&str| format!("{{{{json .{name}}}}}");
    let list = |values: Vec<String>| values.join(",");
    let fields = list(FIELDS.iter().map(field).collect());
    let (life, labels) = (list(LIFE.iter().map(field).collect()), list(LABELS.iter().map(label).collect()));
    let limits = list(LIMITS.iter().map(field).collect());
    // Newer engines name no directories of their storage.
    let storage = "{{with .GraphDriver}}{{json .Data}}{{else}}null{{end}}";
    // Names alone: an address changes with each start.
    let ports = "{{json .NetworkSettings.Ports}},{{json .HostConfig.PortBindings}}";
    let networks = "{{range $name, $_ := .NetworkSettings.Networks}}{{json $name}},{{end}}null";
    format!("[{fields},[{life}],[{labels}],{{{{json .Mounts}}}},{storage},[{networks}],{ports},[{limits}]]")
}

/// A script for `sh` that lists all containers by `docker` and inspects them at once. `mark`, a word that
/// nothing else says, begins the output, and each line that is the script's own.
pub(in crate::host) fn script(docker: &str, mark: &str) -> String {
    let template = template();
    format!(
        "set -f
LC_ALL=C; export LC_ALL
echo {mark}; echo {mark} >&2
echo {mark} now \"$(date +%s 2>/dev/null)\"
ids=$({docker} ps --all --no-trunc --format '{{{{.ID}}}}' </dev/null); code=$?
case $ids in *[!0-9a-f[:space:]]*) code={NO_IDS}; ids= ;; esac
echo {mark} ps \"$code\" $ids
if [ \"$code\" = 0 ] && [ -n \"$ids\" ]; then
  {docker} inspect --type container --format '{template}' $ids </dev/null; code=$?
  echo
fi
echo {mark} inspect \"$code\"
"
    )
}

/// A label as it is printed: empty where there is none.
type Label = Option<String>;
/// The values of a container's life, in the order of [`LIFE`].
type RunningFields =
    (Option<bool>, Option<bool>, Option<i64>, Option<i64>, Option<String>, Option<String>, Option<String>);
/// One container of the answer, in the order of the [`template`].
type InspectRow = (
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<bool>,
    RunningFields,
    [Label; LABELS.len()],
    Option<Vec<MountPoint>>,
    Option<HashMap<String, String>>,
    Vec<Option<String>>,
    Option<Bindings>,
    Option<Bindings>,
    [Option<i64>; LIMITS.len()],
);

/// Reads what the script said after its first mark.
///
/// # Errors
/// The reason why it is not the answer to both commands.
pub(in crate::host) fn listed(
    output: &[u8],
    stderr: &[u8],
    mark: &str,
) -> Result<Vec<ListedContainer>, ClientRefusal> {
    let no_answer = |why: &str| ClientRefusal::Said(why.to_owned());
    let text = str::from_utf8(output).map_err(|_| no_answer("docker gave an answer that is no text"))?;
    let (mut now, mut ids, mut code, mut rows) = (None, None, None, Vec::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        if words.next() != Some(mark) {
            rows.push(line);
            continue;
        }
        match (words.next(), words.next()) {
            (Some("now"), seconds) => now = seconds.and_then(|seconds| seconds.parse::<i64>().ok()),
            (Some("ps"), code) => {
                let code = code.and_then(|code| code.parse().ok());
                if code == Some(NO_IDS) {
                    return Err(no_answer("docker ps gave an answer that is no list of containers"));
                }
                if code != Some(0) {
                    return Err(ClientRefusal::of(code, stderr));
                }
                ids = Some(words.collect::<BTreeSet<&str>>());
            }
            (_, ended) => code = ended.and_then(|code| code.parse::<u32>().ok()),
        }
    }
    let (Some(ids), Some(code)) = (ids, code) else {
        return Err(no_answer("the answer of docker ps and docker inspect was cut short"));
    };
    let listed = rows.into_iter().map(|row| listed_in(row, now)).collect::<Option<Vec<ListedContainer>>>();
    match listed {
        Some(listed) => complete(&ids, listed, code, stderr),
        None if code == 0 => Err(no_answer("docker inspect gave an answer that is no list of containers")),
        None => Err(ClientRefusal::of(Some(code), stderr)),
    }
}

/// Holds the answer against the list: a container that vanished in between is no error, all else is.
fn complete(
    ids: &BTreeSet<&str>,
    listed: Vec<ListedContainer>,
    code: u32,
    stderr: &[u8],
) -> Result<Vec<ListedContainer>, ClientRefusal> {
    let text = String::from_utf8_lossy(stderr).to_ascii_lowercase();
    let is_gone = |id: &str| text.lines().any(|line| line.contains("no such") && line.contains(id));
    let told: BTreeSet<&str> = listed.iter().map(|listed| listed.id.as_str()).collect();
    let mut untold = ids.difference(&told).peekable();
    // A failure of which no container is the reason is one of the whole command.
    let failed = code != 0 && untold.peek().is_none();
    if failed || !untold.all(|id| is_gone(id)) {
        return Err(ClientRefusal::of(Some(code), stderr));
    }
    if told.len() != listed.len() || !told.is_subset(ids) {
        return Err(ClientRefusal::Said("docker inspect told of other containers than docker ps".to_owned()));
    }
    Ok(listed)
}

/// Reads one line of the answer, which was given at the moment `now`.
fn listed_in(line: &str, now: Option<i64>) -> Option<ListedContainer> {
    let row: InspectRow = serde_json::from_str(line).ok()?;
    let (
        id,
        name,
        image_id,
        image,
        state,
        is_temporary,
        running,
        values,
        mounts,
        storage,
        networks,
        ports,
        asked,
        limits,
    ) = row;
    let [nano_cpus, memory, cpu_quota, cpu_period] = limits;
    let its = life_of(running);
    let processes =
        its.pid.and_then(|pid| Running::of(&id, pid, its.started, storage.as_ref())).map(Box::new);
    let labels = LABELS.iter().zip(values).filter_map(|(label, value)| {
        Some((format!("com.docker.compose.{label}"), value.filter(|value| !value.is_empty())?))
    });
    Some(ListedContainer {
        id,
        name: Some(name.strip_prefix('/').unwrap_or(&name).to_owned()),
        image: image.clone().unwrap_or_default(),
        image_id: with_algorithm(&image_id),
        state: state.unwrap_or_default(),
        up: now.zip(its.started).map(|(now, started)| now - started),
        is_open: false,
        labels: Labels(labels.collect::<HashMap<_, _>>()),
        networks: Some(networks.into_iter().flatten().collect()),
        mounts: mounts.map(|mounts| mounts.into_iter().map(mount_of).collect()),
        ports: None,
        inspected: Some(Inspected::There {
            ports: ports.and_then(|ports| published_as(&ports, &asked.unwrap_or_default())),
            image,
            is_temporary: is_temporary.unwrap_or(false),
            life: Some(its),
            status: None,
            processes,
            variables: None,
            limits: Some(LimitRow { nano_cpus, memory, cpu_quota, cpu_period }.limits()),
        }),
        devices: None,
        image_variables: None,
    })
}

fn life_of((running, restarting, pid, restarts, policy, created, started): RunningFields) -> Life {
    let moment = |text: Option<String>| text.as_deref().and_then(life::moment);
    Life {
        running: running.unwrap_or_default(),
        restarting: restarting.unwrap_or_default(),
        pid,
        restarts: restarts.unwrap_or_default(),
        has_policy: life::is_policy(policy.as_deref()),
        created: moment(created),
        started: moment(started),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "M ps 0 aa bb\n";

    fn row(id: &str) -> String {
        format!(
            "[\"{id}\",\"/web\",\"sha256:1\",\"odoo:18\",\"running\",false,[true,false,7,0,\"no\",\"\",\"\"],\
             [\"\",\"erp\",\"\",\"\",\"\",\"\"],null,null,[null],null,null,[0,0,0,0]]\n"
        )
    }

    fn read(text: &str, stderr: &str) -> Result<Vec<ListedContainer>, ClientRefusal> {
        listed(text.as_bytes(), stderr.as_bytes(), "M")
    }

    #[test]
    fn both_commands_are_read() {
        let both = read(&format!("{HEAD}{}{}\nM inspect 0\n", row("aa"), row("bb")), "").unwrap();
        let told =
            (both[0].id.as_str(), both[0].name.as_deref(), both[0].image.as_str(), both[0].labels.0.len());
        assert_eq!((both.len(), told), (2, ("aa", Some("web"), "odoo:18", 1)));
        assert_eq!(read("M ps 0\nM inspect 0\n", "").unwrap().len(), 0);
    }

    #[test]
    fn a_container_between_two_starts_is_told_by_the_clock_of_the_server() {
        let state = |now: &str, life: &str| {
            let row = row("aa").replace("true,false,7,0,\"no\",\"\",\"\"", life);
            let listed = read(&format!("{now}M ps 0 aa\n{row}\nM inspect 0\n"), "").unwrap().remove(0);
            let Some(Inspected::There { life: Some(life), .. }) = &listed.inspected else { panic!() };
            life.is_restart(&listed.state, listed.up)
        };
        let life = |pid: i64, restarts: i64| {
            let times = "\"2026-12-01T10:00:00Z\",\"2026-12-01T10:54:25Z\"";
            format!("true,false,{pid},{restarts},\"always\",{times}")
        };
        assert!(state("M now 1796122470\n", &life(7, 1)) && !state("M now 1796122479\n", &life(7, 1)));
        assert!(!state("M now 1796122470\n", &life(7, 0)) && state("", &life(0, 0)));
        assert!(!state("", &life(7, 1)) && !state("M now x\n", &life(7, 1)), "no clock");
    }

    #[test]
    fn only_a_container_that_vanished_may_be_left_out() {
        let one = format!("{HEAD}{}\nM inspect 1\n", row("aa"));
        assert_eq!(read(&one, "Error: No such container: bb\n").unwrap().len(), 1);
        assert!(read(&one, "").is_err() && read(&one, "Error: No such container: aa\n").is_err());
        assert!(read(&format!("{HEAD}{}{}\nM inspect 1\n", row("aa"), row("bb")), "").is_err());
        assert!(read(&format!("{HEAD}{}\nM inspect 0\n", row("aa")), "").is_err());
        let none = format!("{HEAD}\nM inspect 1\n");
        assert_eq!(read(&none, "no such object: aa\nno such object: bb").unwrap().len(), 0);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in ["", HEAD, "M ps 1\nM inspect 1\n", "M inspect 0\n"] {
            assert!(read(text, "").is_err(), "{text:?}");
        }
        assert!(read(&format!("{HEAD}{{}}\nM inspect 0\n"), "").is_err());
        assert!(read(&format!("{HEAD}{}{}\nM inspect 0\n", row("aa"), row("cc")), "no such bb").is_err());
        assert_eq!(read("M ps 127\nM inspect 127\n", "").err(), Some(ClientRefusal::NoClient));
    }

    #[test]
    fn refusals_are_told_apart() {
        let of = |code: u32, text: &str| ClientRefusal::of(Some(code), text.as_bytes());
        assert_eq!(of(127, "sh: 1: exec: docker: not found"), ClientRefusal::NoClient);
        assert_eq!(of(1, "sudo: docker: command not found"), ClientRefusal::NoClient);
        assert_eq!(of(127, "sh: 1: sudo: not found"), ClientRefusal::NoSudo);
        assert_eq!(
            of(127, "sh: 1: sudo: Permission denied"),
            ClientRefusal::NoSudo,
            "a closed directory on the PATH"
        );
        assert_eq!(of(1, "sudo: a password is required"), ClientRefusal::Password);
        assert_eq!(of(1, "permission denied while trying to connect"), ClientRefusal::NoPermission);
        let odd = "WARNING: Error loading config file: permission denied\nboom";
        assert_eq!(of(1, odd), ClientRefusal::Said("boom (exit code 1)".to_owned()));
        let down = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
        assert_eq!(of(1, down), ClientRefusal::NotRunning(down.to_owned()));
        assert_eq!(of(3, "boom\nmore"), ClientRefusal::Said("boom (exit code 3)".to_owned()));
        assert_eq!(of(3, ""), ClientRefusal::Said("exit code 3".to_owned()));
    }

    #[test]
    fn nothing_but_what_is_needed_is_selected() {
        let template = template();
        assert!(!template.contains('\'') && !template.contains("json .Config}") && !template.contains("Env"));
        assert_eq!(template.matches("{{").count(), 33);
    }
}
