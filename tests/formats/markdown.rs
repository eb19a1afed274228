//! `--format markdown`: made into HTML by `cmark-gfm`, which GitHub's own rendering is built on.

use serde_json::Value;

use super::{HOSTILE, Situation, python, situations, tool};
use crate::support::Project;

/// Lists the elements of a page, and what stands in code and outside of it.
const READ: &str = r#"
import json, sys
from html.parser import HTMLParser
class Reader(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.code, self.plain, self.depth, self.open = {}, [], "", 0, []
    def handle_starttag(self, tag, attributes):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag not in ("input", "br", "hr"): self.open.append(tag)
        if tag == "code": self.depth += 1; self.code.append("")
    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()
        if tag == "code": self.depth -= 1
    def handle_data(self, data):
        if self.depth: self.code[-1] += data
        else: self.plain += data
reader = Reader(); reader.feed(sys.stdin.read()); reader.close()
assert not reader.open, reader.open
print(json.dumps({"tags": reader.tags, "code": reader.code, "plain": reader.plain}))
"#;

fn rendered(markdown: &str) -> Value {
    let extensions = ["-e", "table", "-e", "autolink", "-e", "strikethrough", "-e", "tasklist"];
    let command = [&["cmark-gfm", "--unsafe"][..], &extensions].concat();
    let (code, html) = tool(&command, markdown);
    assert_eq!(code, 0, "{html}");
    python(READ, &html)
}

const TAGS: [&str; 15] = [
    "h3", "p", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "strong", "details", "summary",
    "ul", "li",
];

#[test]
fn every_situation_is_a_page_of_nothing_but_headings_tables_lists_and_code() {
    for situation in situations() {
        let name = situation.name;
        let (markdown, _) = situation.report("markdown");
        let page = rendered(&markdown);
        for tag in page["tags"].as_object().unwrap().keys() {
            assert!(TAGS.contains(&tag.as_str()), "{name}: <{tag}>\n{markdown}");
        }
        let plain = page["plain"].as_str().unwrap();
        assert!(!plain.contains(['`', '@', '<', '[']), "{name}: {plain}");
        let told = plain.to_owned() + &page["code"].to_string();
        let is_pass = told.contains("PASS ") && !told.contains("ERROR") && !told.contains("FAIL");
        assert_eq!(is_pass, situation.code == 0 && name != "excused", "{name}\n{markdown}");
    }
}

#[test]
fn a_pass_is_short_and_what_somebody_answers_for_is_folded() {
    let of = |name: &str| Situation::of(name).report("markdown").0;
    assert_eq!(of("pass"), "### `PASS local: 3 checks passed`\n\n5 compared with `audit/locks`.\n");
    let answered = rendered(&of("acknowledged"));
    assert_eq!(answered["tags"]["details"], 1);
    assert!(answered["code"].to_string().contains("acknowledged until "), "{answered}");
    let skip = of("skip");
    assert!(skip.contains("- SKIP Docker images: `"), "{skip}");
    let excused = of("excused");
    assert!(excused.starts_with("### `FAIL local: ") && excused.contains("\n`Deploying since "), "{excused}");
}

#[test]
fn what_can_be_done_stands_in_blocks_to_copy() {
    let page = Situation::of("drift").report("markdown").0;
    let accept = "```sh\n# accept\ndriftlock accept --only ";
    assert!(page.contains(accept) || page.contains("\n# accept\ndriftlock accept --only "), "{page}");
    assert!(page.contains("| `compose_hashes` | **FAIL** | 2 | 1 drifted |\n"), "{page}");
}

#[test]
fn several_targets_begin_with_a_table_and_the_same_drift_is_told_once() {
    let markdown = Situation::of("several targets").report("markdown").0;
    assert!(markdown.starts_with("| target | verdict | findings | seconds |\n"), "{markdown}");
    assert!(markdown.contains("\n| `gone` | **ERROR** | "), "{markdown}");
    assert!(!markdown.contains("PASS alpha"), "what is well is a line of the table: {markdown}");
    let once =
        "**Compose drift:** `infra/stacks/edge/docker-compose.yml` on `beta`, `delta` (here: as on `beta`)\n";
    assert_eq!(markdown.matches(once).count(), 1, "{markdown}");
    assert_eq!(markdown.matches("Compose drift:** `infra/stacks/edge").count(), 1, "{markdown}");
}

#[test]
fn every_hostile_name_arrives_as_the_terminal_shows_it() {
    let situation = Situation::of("hostile");
    let page = rendered(&situation.report("markdown").0);
    let code = page["code"].as_array().unwrap();
    for name in HOSTILE {
        let shown = format!("infra/stacks/{}/docker-compose.yml", driftlock::model::escaped(name));
        assert!(code.iter().any(|code| *code == shown.as_str()), "{shown}\n{code:#?}");
    }
    assert_eq!(page["tags"]["details"], 1, "only the one that folds");
}

#[test]
fn a_page_is_never_larger_than_a_comment_may_be_and_says_what_it_leaves_out() {
    let project = Project::accepted();
    for number in 0..400 {
        project.file(&format!("infra/stacks/s{number:03}/docker-compose.yml"), "services: {}\n");
    }
    let situation = Situation { name: "many", project, args: &["check"], code: 2 };
    let (markdown, _) = situation.report("markdown");
    assert!((30_000..65_536).contains(&markdown.len()), "{}", markdown.len());
    let shown = markdown.matches("**Compose drift:** ").count();
    let left_out = format!("\n… and {} more findings: the JSON report lists all.\n", 400 - shown);
    assert!(shown > 100 && markdown.ends_with(&left_out), "{shown} {left_out}");
    rendered(&markdown);
}
