//! Ways to write a secret that a made file would not be worth.

use super::outputs;

/// Texts in which `hunter2` is the secret.
const WAYS: &[&str] = &[
    "PASSWORD : hunter2",
    "PASSWORD\t=\thunter2",
    "password:hunter2",
    "'password' => 'hunter2',",
    "PASSWORD=hunter2\r\nX=1\r",
    "password: >\n\n  hunter2",
    "password: |2-  # x\n    hunter2",
    "- DB_PASSWORD\n- hunter2",
    "\"--db-password\"\n,\"hunter2\"",
    "\"--db-password\",\n\n# x\n\"hunter2\"",
    "x: &a\n  hunter2\npassword: *a",
    "x: &a\n- hunter2\npassword: *a",
    "x: &a [hunter2, &b hunter2]\ny: {password: *a}\nz: [",
    "x: &a hunter2\ny: &b [*a]\nz: {password: *b}\nv: [",
    "password: !!binary |\n  hunter2",
    "{\"password\":{\"value\":\"hunter2\"}}",
    "A=${DB_PASSWORD:?hunter2}",
    "command: odoo -w hunter2",
    "command: odoo -whunter2",
    "command: odoo --db-password\n  hunter2",
    "command: odoo --db_password\nhunter2",
    "command:\n- --db-password\n-\n  hunter2",
    "command: >\n  odoo\n  --db-password\n\n  hunter2",
    "password = \"\"\"\nhunter2\"\"\"",
    "password = '''\nx\"\nhunter2'''",
    "password: # x\n  hunter2",
    "docker run -e PASSWORD=hunter2 -e X=1",
    "environment: [\"PASSWORD=hunter2\", \"A=b\"]",
    "environment: [PASSWORD=\n   hunter2, A=b]",
    "password = (\"x\"\n\"hunter2\")",
    "user, password = \"ada\", \"hunter2\"",
    "if \"hunter2\" == password:",
    "hunter2 # the password",
    "x: hunter2 # the token of y",
    "echo hunter2 | passwd --stdin x",
    "passwd <<< hunter2",
    "set $token \"hunter2\";",
    "ALTER USER odoo WITH PASSWORD 'hunter2';",
    "CREATE USER odoo IDENTIFIED BY 'hunter2';",
    "Server=x;Password=hunter2;Database=y",
    "machine x login ada password\nhunter2",
    "x: &k password\n*k : hunter2",
    "? \"pass\\\n  word\"\n: hunter2",
    "- name: DB_PASSWORD # x\n\n  value: hunter2",
    "- \"name\": &n \"DB_PASSWORD\"\n  \"value\": \"hunter2\"",
    "- value: >\n    hunter2\n  name: DB_PASSWORD",
    "- {value: hunter2,\n   name: DB_PASSWORD}",
    "- {name: DB_PASSWORD,\nvalue: hunter2}",
    "name: DB_PASSWORD\nx: y\nvalue: hunter2",
    "value:\n  hunter2\nname: DB_PASSWORD",
    "variable \"db_password\" {\n default = \"hunter2\"\n}",
    "password:\n\n\n- x\n# y\n- hunter2",
    "    password:\n# y\n      - hunter2",
    "\"token\",\n\"hunter2:x\"",
    "PASS1=hunter2",
    "[\"odoo\", \"--db-password\", \"h\\x75nter2\"]",
    "#  password:\n#    hunter2",
    "# password: |\n#   x\n#   hunter2\nx: y",
    "[db.secrets]\nx = 1\n\ny = \"hunter2\"",
    "url = jdbc:postgresql://ada:hunter2@db/x?y=1@2",
    "a: http://x\nb: amqp://ada:hunter2@x:y@mq",
    "tokens = [\n'x',\n'hunter2'\n]",
    "password: \"x\n\nhunter2\n\"",
    "cat <<-'END' > .pgpass\nx\nhunter2\nEND",
];

#[test]
fn a_secret_is_hidden_whatever_way_it_is_written() {
    for way in WAYS {
        for output in outputs(way, "other").into_iter().chain(outputs("", way)) {
            assert!(!output.contains("hunter2"), "{way:?}: {output}");
        }
    }
}

#[test]
fn what_was_found_in_one_place_is_hidden_in_all() {
    for way in WAYS {
        for output in outputs(way, "a: say hunter2, x\n") {
            assert!(!output.contains("hunter2"), "{way:?}: {output}");
        }
    }
}
