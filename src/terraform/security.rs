//! Which attributes concern who may reach or do what.

/// Parts of the types of resources whose every attribute concerns it.
const TYPES: [&str; 22] = [
    "security_group",
    "firewall",
    "network_acl",
    "_nsg",
    "iam_",
    "_iam",
    "_policy",
    "_role",
    "role_",
    "kms_",
    "_key_pair",
    "ssh_key",
    "secret",
    "certificate",
    "public_access_block",
    "bucket_acl",
    "_permission",
    "_acl",
    "waf",
    "vault_",
    "access_key",
    "_user",
];
/// Names of attributes, or parts of them, that concern it on any resource.
const ATTRIBUTES: [&str; 34] = [
    "ingress",
    "egress",
    "policy",
    "acl",
    "encrypt",
    "kms_key",
    "password",
    "secret",
    "token",
    "private_key",
    "public_key",
    "key_name",
    "publicly_accessible",
    "public_ip",
    "public_access",
    "security_group",
    "iam_",
    "role",
    "permission",
    "authorized",
    "cidr",
    "source_ranges",
    "allow",
    "deny",
    "firewall",
    "user_data",
    "metadata_options",
    "ssl",
    "tls",
    "certificate",
    "deletion_protection",
    "sudo",
    "ssh",
    "identity",
];
/// Attributes that hold names and notes, even of such resources.
const NAMES: [&str; 5] = ["tags", "tags_all", "labels", "description", "timeouts"];

/// Whether an attribute of a resource of this type concerns who may reach or do what.
pub(super) fn concerns(kind: &str, path: &str) -> bool {
    let first = path.split(['.', '[']).next().unwrap_or(path);
    if NAMES.contains(&first) {
        return false;
    }
    TYPES.iter().any(|part| kind.contains(part)) || ATTRIBUTES.iter().any(|part| path.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_reach_or_do_what_is_told_from_the_rest() {
        assert!(concerns("aws_security_group", "ingress"));
        assert!(concerns("aws_db_instance", "publicly_accessible"));
        assert!(concerns("proxmox_virtual_environment_firewall_rules", "rule"));
        assert!(!concerns("aws_security_group", "tags.Name"));
        assert!(!concerns("aws_instance", "instance_type"));
    }
}
