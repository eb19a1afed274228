//! The variables of the environment that code probably needs: those that its providers and its backend read.

use std::collections::BTreeSet;
use std::path::Path;

use super::code::Code;

/// Patterns over the variables that providers and backends read, by their name: <https://registry.terraform.io/browse/providers>.
const READ_BY: &[(&str, &[&str])] = &[
    ("aws", &["AWS_*"]),
    ("awscc", &["AWS_*"]),
    ("s3", &["AWS_*"]),
    ("azapi", &["ARM_*"]),
    ("azuread", &["ARM_*"]),
    ("azurerm", &["ARM_*"]),
    ("cloudflare", &["CLOUDFLARE_*"]),
    ("consul", &["CONSUL_*"]),
    ("datadog", &["DATADOG_*", "DD_*"]),
    ("digitalocean", &["DIGITALOCEAN_*", "SPACES_*"]),
    ("docker", &["DOCKER_*"]),
    ("gcs", &["GOOGLE_*"]),
    ("github", &["GITHUB_*"]),
    ("gitlab", &["GITLAB_*"]),
    ("google", &["CLOUDSDK_*", "GOOGLE_*"]),
    ("google-beta", &["CLOUDSDK_*", "GOOGLE_*"]),
    ("grafana", &["GRAFANA_*"]),
    ("hcloud", &["HCLOUD_*"]),
    ("helm", &["KUBE*"]),
    ("http", &["TF_HTTP_*"]),
    ("kubernetes", &["KUBE*"]),
    ("linode", &["LINODE_*"]),
    ("netbox", &["NETBOX_*"]),
    ("nomad", &["NOMAD_*"]),
    ("openstack", &["OS_*"]),
    ("ovh", &["OVH_*"]),
    ("pg", &["PG*"]),
    ("postgresql", &["PG*"]),
    ("proxmox", &["PM_*", "PROXMOX_*"]),
    ("remote", &["TF_TOKEN_*"]),
    ("scaleway", &["SCW_*"]),
    ("vault", &["VAULT_*"]),
    ("vsphere", &["VSPHERE_*"]),
];

/// Patterns over the variables that the code in a directory probably needs, for `env`; sorted.
#[must_use]
pub fn needed_variables(dir: &Path) -> Vec<String> {
    let code = Code::read(dir);
    let services = code.services();
    let read =
        READ_BY.iter().filter(|(name, _)| services.contains(*name)).flat_map(|(_, patterns)| *patterns);
    let unset = code.unset().into_iter().map(|name| format!("TF_VAR_{name}"));
    let all: BTreeSet<String> = read.map(|it| (*it).to_owned()).chain(unset).collect();
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_backends_modules_and_variables_tell_what_is_needed() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let needed = || needed_variables(&root.path().join("e"));
        write("e/main.tf", "resource \"terraform_data\" \"a\" {}\n");
        assert_eq!(needed(), [""; 0]);
        write("e/a.tf", "resource \"aws_vpc\" \"a\" {}\n");
        assert_eq!(needed(), ["AWS_*"]);
        let text = "terraform {\n required_providers {\n px = {\n source = \"bpg/proxmox\"\n }\n }\n backend \"pg\" {}\n}\n";
        write("e/b.tf", text);
        write(
            "e/c.tf",
            "module \"m\" {\n source = \"../m\"\n}\nvariable \"size\" {}\nvariable \"n\" {\n default = 1\n}\n",
        );
        write("m/main.tf", "provider \"hcloud\" {}\nmodule \"self\" {\n source = \"../m\"\n}\n");
        write("e/d.tf.json", "{\"resource\": {\"google_project\": {\"p\": {}}}}");
        let expected =
            ["AWS_*", "CLOUDSDK_*", "GOOGLE_*", "HCLOUD_*", "PG*", "PM_*", "PROXMOX_*", "TF_VAR_size"];
        assert_eq!(needed(), expected);
        write("e/terraform.tfvars", "size = 1\n");
        assert!(!needed().contains(&"TF_VAR_size".to_owned()));
    }
}
