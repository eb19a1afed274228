//! What `--help` says first: the options of the command itself, and those of every command last.

use crate::support::Project;

#[test]
fn options_of_the_command_itself_come_first() {
    let project = Project::empty();
    for (command, own) in [
        ("accept", "--only <PATTERN>"),
        ("explain", "--content"),
        ("status", "--max-age <DURATION>"),
        ("check", "--output <DIR>"),
    ] {
        let help = project.ok(&[command, "--help"]).out();
        let at = |text: &str| help.find(text).unwrap_or_else(|| panic!("{command}: no {text}:\n{help}"));
        let headings: Vec<&str> =
            help.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
        let options = headings.iter().position(|heading| *heading == "Options:").unwrap();
        assert!(options <= 1, "only arguments stand before: {headings:?}");
        assert!(
            at("Options:") < at(own) && at(own) < at("Every command:"),
            "{command}: {headings:?}\n{help}"
        );
        let last = &headings[headings.len() - 3..];
        assert_eq!(last, ["Every command:", "Logging, on standard error:", "Examples:"], "{command}");
        assert!(at("Every command:") < at("--root <DIR>"), "{command}");
    }
}
