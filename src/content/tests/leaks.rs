//! Secrets whose name stands apart, is disguised, or is none at all.

use super::*;

/// Texts in which `hunter2` or `hunter1` is the secret.
const APART: &[&str] = &[
    "- header: X-Api-Token\n  value: 'old''hunter1'",
    "- setting: api_token\n  value: \"one\\\"hunter1\"",
    "- {header: X-Api-Token, value: \"q'z\\\"hunter1\"}",
    "- purpose: api_token\n  is: \"one\\\"hunter1\"",
    "command: [a, \"--db-password=first\\nhunter2\"]",
    "entrypoint: \"x --db-password=first\\nhunter2\"",
    "environment:\n- \"DB_PASSWORD=first\\nhunter2\"",
    "environment:\n- |-\n  DB_PASSWORD=first\n  hunter2",
    "- {value: \"hunter2\n    rest\", name: DB_PASSWORD}",
    "- name:\n    DB_PASSWORD\n  value: \"hunter2\\tx\"",
    "- name: >-\n    DB_PASSWORD\n  value: \"hunter2\\tx\"",
    "a: b\n---\n- name:\n    DB_PASSWORD\n  value: hunter2",
    "a: b\n---\n\"p\\u0061ssword\": hunter2",
    "a: [\n- name:\n    DB_PASSWORD\n  value: hunter2",
    "a: b\na: c\nx:\n- name:\n    DB_PASSWORD\n  value: hunter2",
    "requests.get(url, auth=('admin', 'hunter2'))",
    "[x]\nauth=hunter2",
    "auth = hunter2",
    "password = 'a' \\\n    'hunter2'",
    "command:\n- mysqladmin\n- ping\n- -phunter2",
    "command:\n- odoo\n- -whunter2",
    "command:\n- sshpass\n- -p\n- hunter2",
    "entrypoint: mysqladmin\ncommand: [ping, -phunter2]",
    "test: curl -u admin:hunter2 http://x",
    "test: redis-cli -a hunter2 ping",
    "test: [\"CMD\",\"redis-cli\",\"-a\",\"hunter2\",\"ping\"]",
    "test: mysql -u root -p hunter2",
    "GITHUB_PAT: hunter2",
    "PAT: hunter2",
    "JWT=hunter2",
    "WIFI_PSK: hunter2",
    "COOKIE: hunter2",
    ".dockerconfigjson: hunter2",
    "stripe:\n  key: hunter2",
    "a: http://x/?sig=hunter2",
    "a: http://x/?a=b&key=hunter2",
    "a: http://x/?a=b&token=hunter2",
    "a: https://hooks.slack.com/services/T0/B0/hunter2",
    "a: https://x/bot123:hunter2@y",
    "a: https://api.telegram.org/bot123:hunter2/send",
    "DB_URL: odoo:hunter2@tcp(db)/x",
    "db:5432:*:odoo:hunter2",
    "<key>password</key>\n<string>hunter2</string>",
    "a: http://ada:hunter2@sha256:80/",
    "p\u{430}ssword: hunter2",
    "pass\u{200b}word: hunter2",
    "pass\u{ad}word: hunter2",
    "\u{ff50}\u{ff41}\u{ff53}\u{ff53}\u{ff57}\u{ff4f}\u{ff52}\u{ff44}: hunter2",
    "pas\u{455}w\u{43e}rd: \"hunter2\"",
    "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nhunter2\n---- END SSH2 ENCRYPTED PRIVATE KEY ----",
    "Private-Lines: 1\nhunter2\nx",
    "-----BEGIN PRIVATE KEY-----\nx\n-----END x\nhunter2\n-----END PRIVATE KEY-----",
];

#[test]
fn a_secret_is_hidden_wherever_its_name_stands() {
    let mut leaks = Vec::new();
    for text in APART {
        let other = text.replace("hunter", "another");
        let all = [outputs(text, &other), outputs(&other, text), outputs(text, "x: 1\n"), outputs("", text)];
        if all.iter().flatten().any(|output| output.contains("hunter")) {
            leaks.push(text);
        }
    }
    assert!(leaks.is_empty(), "{leaks:#?}");
}

#[test]
fn an_ordinary_compose_file_stays_readable() {
    let old = "services:\n  odoo:\n    image: odoo:18.0\n    container_name: odoo-web\n    command: [odoo, -u, sale]\n    \
               ports:\n    - \"8069:8069\"\n    - target: 8072\n      protocol: tcp\n    environment:\n      HOST: db\n      \
               PASSWORD: hunter2\n    volumes:\n    - ./addons:/mnt/extra-addons:ro\n    labels:\n    - a.b=c\n    \
               healthcheck: {interval: 30s, test: [CMD, x]}\n    depends_on: {db: {condition: service_started}}\n";
    let new = old
        .replace("18.0", "18.1")
        .replace("sale", "hunter2")
        .replace("8069\"", "8070\"")
        .replace("protocol: tcp", "protocol: udp")
        .replace("hunter2\n", "hunter3\n")
        .replace(":ro", "")
        .replace("=c", "=hunter2")
        .replace("30s", "10s")
        .replace("x]", "hunter2]")
        .replace("started", "healthy");
    assert_eq!(
        compared(old, &new).plain(),
        [
            "services.odoo.command: (changed)",
            "services.odoo.depends_on.db.condition: service_started → service_healthy",
            "services.odoo.environment.PASSWORD: (changed)",
            "services.odoo.healthcheck.interval: 30s → 10s",
            "services.odoo.healthcheck.test: (changed)",
            "services.odoo.image: odoo:18.0 → odoo:18.1",
            "services.odoo.labels.a.b: (changed)",
            "services.odoo.ports: - 8069:8069",
            "services.odoo.ports: - {protocol: tcp, target: 8072}",
            "services.odoo.ports: + 8069:8070",
            "services.odoo.ports: + {protocol: udp, target: 8072}",
            "services.odoo.volumes: - ./addons:/mnt/extra-addons:ro",
            "services.odoo.volumes: + ./addons:/mnt/extra-addons",
            "9 lines differ (--show-content shows them)",
        ]
    );
}

#[test]
fn of_what_cannot_be_read_as_yaml_no_line_is_shown() {
    for (old, new) in [("x_token: a\na: [\n", "x_token: b\na: [\n"), ("a: b\na: [\n", "a: c\na: [\n")] {
        let shown = compared(old, new).plain();
        assert!(shown[0].starts_with("not compared by meaning: the earlier version"), "{shown:?}");
        assert_eq!(shown[1..], ["1 line differs (--show-content shows it)"]);
    }
}

#[test]
fn many_secrets_in_a_long_line_cost_little() {
    let tokens: String =
        (3..64).map(|length| format!("x-p{length}_token: {}\n", "a".repeat(length))).collect();
    let started = std::time::Instant::now();
    let shown = outputs(&tokens, &format!("{tokens}x-a: {}\n", "a".repeat(900_000))).concat();
    assert!(!shown.contains("aaa") && shown.len() < 20_000, "{}", shown.len());
    // What grows with the square of the line would take minutes.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn lines_of_code_are_shown_as_they_are() {
    for line in [
        "    image: registry/odoo:18@sha256:0123456789abcdef0123456789abcdef",
        "    - 127.0.0.1:8069:8069",
        "    key: name",
        "@http.route('/x', auth='user')",
        "    command: mkdir -p /data",
        "    clone: git@example.org:ada/odoo.git",
    ] {
        let shown = read_as((FileRole::Module, "shop/models/a.py"), "", &format!("{line}\n")).plain();
        assert_eq!(shown.last().map(String::as_str), Some(&*format!("+{line}")));
    }
}
