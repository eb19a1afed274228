//! The keys of a compose file, and which of their values may be shown: those of keys that never hold a secret.

/// What Compose makes of a node before anything reads it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing else.
    AsWritten,
    /// A mapping of texts: a number is its text.
    Texts,
    /// The same, or a list of `KEY=VALUE`.
    Assignments,
}

/// What may be shown of a node.
pub(super) struct Rule {
    /// Whether its value, or those of a list, may be shown.
    pub(super) is_shown: bool,
    /// Whether other ways to write it mean the same.
    pub(super) form: Form,
    /// Keys whose values may be shown, with blanks between them.
    shown: &'static str,
    /// Keys with rules of their own.
    keys: &'static [(&'static str, &'static Rule)],
    /// The rule below names that somebody chose: of services, variables, labels.
    names: Option<&'static Rule>,
}

impl Rule {
    /// Nothing but that it differs, unless a part of it is overridden.
    const HIDDEN: Self = Self { is_shown: false, form: Form::AsWritten, shown: "", keys: &[], names: None };
    const SHOWN: Self = Self { is_shown: true, ..Self::HIDDEN };
    /// Names with values that are never shown.
    const NAMED: Self = Self { names: Some(&Self::HIDDEN), ..Self::HIDDEN };
    const ASSIGNED: Self = Self { form: Form::Assignments, ..Self::NAMED };
    const ASSIGNED_SHOWN: Self = Self { form: Form::Assignments, names: Some(&Self::SHOWN), ..Self::SHOWN };
    const OPTIONS: Self = Self { form: Form::Texts, ..Self::NAMED };

    /// The rule of what stands at a key.
    pub(super) fn at(&self, key: &str) -> &'static Self {
        if self.shown.split_whitespace().any(|name| name == key) {
            return &Self::SHOWN;
        }
        let own = self.keys.iter().find(|(name, _)| *name == key).map(|(_, rule)| *rule);
        own.or(self.names).unwrap_or(&Self::HIDDEN)
    }

    /// Whether nothing below is ever shown but names.
    pub(super) fn hides_all(&self) -> bool {
        !self.is_shown && self.shown.is_empty() && self.keys.is_empty()
    }

    /// Whether the keys of a mapping may be shown.
    pub(super) fn shows_keys(&self) -> bool {
        self.names.is_some() || !self.shown.is_empty() || !self.keys.is_empty()
    }
}

/// A file of settings: names of keys alone, however deep they stand.
pub(super) static SETTINGS: Rule = Rule { names: Some(&SETTINGS), ..Rule::HIDDEN };

/// A document in which all may be shown.
#[cfg(test)]
pub(super) static OPEN: Rule = Rule {
    keys: &[("environment", &Rule::ASSIGNED_SHOWN), ("labels", &Rule::ASSIGNED_SHOWN)],
    names: Some(&OPEN),
    ..Rule::SHOWN
};

/// A compose file.
pub(super) static COMPOSE: Rule = Rule {
    shown: "name version",
    keys: &[
        ("services", &Rule { names: Some(&SERVICE), ..Rule::HIDDEN }),
        ("networks", &Rule { names: Some(&NETWORK), ..Rule::HIDDEN }),
        ("volumes", &Rule { names: Some(&VOLUME), ..Rule::HIDDEN }),
        ("secrets", &Rule::NAMED),
        ("configs", &Rule::NAMED),
    ],
    ..Rule::HIDDEN
};

static SERVICE: Rule = Rule {
    shown: "cap_add cap_drop cgroup cgroup_parent container_name cpu_count cpu_percent cpu_period cpu_quota \
            cpu_shares cpus cpuset devices dns dns_opt dns_search expose external_links group_add image \
            init ipc isolation links mac_address mem_limit mem_reservation mem_swappiness memswap_limit \
            network_mode oom_kill_disable oom_score_adj pid pids_limit platform privileged profiles \
            pull_policy read_only restart runtime scale shm_size stdin_open stop_grace_period stop_signal \
            tmpfs tty user userns_mode uts volumes_from working_dir",
    keys: &[
        ("annotations", &Rule::ASSIGNED),
        ("build", &BUILD),
        ("depends_on", &DEPENDS_ON),
        ("deploy", &DEPLOY),
        ("env_file", &Rule { shown: "path required format", ..Rule::SHOWN }),
        ("environment", &Rule::ASSIGNED),
        ("extends", &Rule { shown: "file service", ..Rule::SHOWN }),
        ("extra_hosts", &Rule::ASSIGNED_SHOWN),
        ("healthcheck", &HEALTHCHECK),
        ("labels", &Rule::ASSIGNED),
        ("logging", &Rule { shown: "driver", keys: &[("options", &Rule::OPTIONS)], ..Rule::HIDDEN }),
        ("networks", &Rule { names: Some(&ATTACHED), ..Rule::SHOWN }),
        ("ports", &PORT),
        ("sysctls", &Rule::ASSIGNED_SHOWN),
        ("ulimits", &Rule { names: Some(&LIMIT), ..Rule::HIDDEN }),
        ("volumes", &MOUNT),
    ],
    ..Rule::HIDDEN
};

static BUILD: Rule = Rule {
    shown: "context dockerfile network no_cache platforms pull shm_size target",
    keys: &[("args", &Rule::ASSIGNED), ("labels", &Rule::ASSIGNED)],
    ..Rule::SHOWN
};

static DEPENDS_ON: Rule =
    Rule { names: Some(&Rule { shown: "condition required restart", ..Rule::HIDDEN }), ..Rule::SHOWN };

static UPDATE: Rule =
    Rule { shown: "delay failure_action max_failure_ratio monitor order parallelism", ..Rule::HIDDEN };

static RESOURCES: Rule = Rule { shown: "cpus memory pids", ..Rule::HIDDEN };

static DEPLOY: Rule = Rule {
    shown: "endpoint_mode mode replicas",
    keys: &[
        ("labels", &Rule::ASSIGNED),
        ("placement", &Rule { shown: "max_replicas_per_node", ..Rule::HIDDEN }),
        (
            "resources",
            &Rule { keys: &[("limits", &RESOURCES), ("reservations", &RESOURCES)], ..Rule::HIDDEN },
        ),
        ("restart_policy", &Rule { shown: "condition delay max_attempts window", ..Rule::HIDDEN }),
        ("rollback_config", &UPDATE),
        ("update_config", &UPDATE),
    ],
    ..Rule::HIDDEN
};

static HEALTHCHECK: Rule =
    Rule { shown: "disable interval retries start_interval start_period timeout", ..Rule::HIDDEN };

static ATTACHED: Rule = Rule {
    shown: "aliases gw_priority ipv4_address ipv6_address mac_address priority",
    keys: &[("driver_opts", &Rule::OPTIONS)],
    ..Rule::HIDDEN
};

static PORT: Rule = Rule { shown: "app_protocol host_ip mode name protocol published target", ..Rule::SHOWN };

static LIMIT: Rule = Rule { shown: "hard soft", ..Rule::SHOWN };

static MOUNT: Rule = Rule {
    shown: "consistency read_only source target type",
    keys: &[
        ("bind", &Rule { shown: "create_host_path propagation recursive selinux", ..Rule::HIDDEN }),
        ("tmpfs", &Rule { shown: "mode size", ..Rule::HIDDEN }),
        ("volume", &Rule { shown: "nocopy subpath", ..Rule::HIDDEN }),
    ],
    ..Rule::SHOWN
};

static NETWORK: Rule = Rule {
    shown: "attachable driver enable_ipv4 enable_ipv6 external internal name",
    keys: &[
        ("driver_opts", &Rule::OPTIONS),
        (
            "ipam",
            &Rule {
                shown: "driver",
                keys: &[("config", &Rule { shown: "gateway ip_range subnet", ..Rule::HIDDEN })],
                ..Rule::HIDDEN
            },
        ),
        ("labels", &Rule::ASSIGNED),
    ],
    ..Rule::HIDDEN
};

static VOLUME: Rule = Rule {
    shown: "driver external name",
    keys: &[("driver_opts", &Rule::OPTIONS), ("labels", &Rule::ASSIGNED)],
    ..Rule::HIDDEN
};
