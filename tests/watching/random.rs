//! Operations at random, with watchers that are killed in between: in the end the events say what a fresh check finds.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use crate::support::dice::Dice;
use crate::support::random::seed;
use crate::support::watcher::{Open, Watcher, found_now, open_after, without_words};
use crate::support::{Project, wait_until};

/// What is done to a tree.
struct Hand<'a> {
    project: &'a Project,
    pristine: PathBuf,
    dice: Dice,
}

const PLACES: [&str; 9] = [
    "infra/stacks/edge/docker-compose.yml",
    "infra/stacks/erp/docker-compose.yml",
    "infra/stacks/erp",
    "infra/stacks",
    "odoo_modules/seisei/qr_ordering/models/order.py",
    "odoo_modules/seisei/printer/__manifest__.py",
    "odoo_modules/community/ocr/models",
    "odoo_modules/community/ocr",
    "odoo_modules/seisei",
];

impl Hand<'_> {
    fn path(&self, place: &str) -> PathBuf {
        self.project.root().join(place)
    }

    /// Does one thing; one that cannot be done is none.
    fn act(&mut self) -> String {
        let place = self.dice.one_of(&PLACES);
        let spare = format!("spare{}", self.dice.roll(3));
        let (path, spare) = (self.path(place), self.path(&spare));
        let what = self.dice.roll(12);
        match what {
            0..3 => drop(std::fs::write(&path, format!("{}\n", self.dice.roll(1000)))),
            3 => drop(std::fs::write(path.join(format!("new{}.py", self.dice.roll(3))), "x\n")),
            4 => drop(std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path))),
            5 => drop(std::fs::rename(&path, &spare)),
            6 => drop(std::fs::rename(&spare, &path)),
            7 => {
                let beside = path.with_extension("tmp");
                drop(std::fs::write(&beside, "replaced\n").and_then(|()| std::fs::rename(&beside, &path)));
            }
            8 => {
                drop(std::fs::rename(&path, &spare).and_then(|()| symlink(&spare, &path)));
            }
            9 => {
                let module = format!("odoo_modules/community/extra{}", self.dice.roll(2));
                let module = self.path(&module);
                drop(std::fs::create_dir_all(&module));
                drop(std::fs::write(module.join("__manifest__.py"), "{}\n"));
            }
            10 => drop(std::fs::create_dir_all(&path)),
            _ => self.restore(place),
        }
        format!("{what} {place} {}", spare.display())
    }

    /// Puts a place back as it was.
    fn restore(&self, place: &str) {
        let (from, to) = (self.pristine.join(place), self.path(place));
        drop(std::fs::remove_dir_all(&to).or_else(|_| std::fs::remove_file(&to)));
        to.parent().map(std::fs::create_dir_all);
        drop(Command::new("cp").args(["-a", "--"]).args([&from, &to]).output());
    }
}

/// How often something is tried.
fn trials() -> usize {
    std::env::var("DRIFTLOCK_TRIALS").ok().and_then(|number| number.parse().ok()).unwrap_or(30)
}

#[test]
fn in_the_end_the_events_say_what_a_fresh_check_finds() {
    let project = Project::accepted();
    let pristine = tempfile::tempdir().unwrap();
    for part in ["infra", "odoo_modules"] {
        let copied = Command::new("cp").arg("-a").arg(project.path(part)).arg(pristine.path()).status();
        assert!(copied.unwrap().success());
    }
    let mut hand = Hand { project: &project, pristine: pristine.path().to_owned(), dice: Dice(seed()) };
    let mut watcher = Watcher::start(&project, &[]);
    let (mut before, mut done, mut ids) = (Open::new(), Vec::new(), Vec::new());
    for _ in 0..trials() {
        for _ in 0..=hand.dice.roll(4) {
            done.push(hand.act());
        }
        if hand.dice.once_in(8) {
            watcher.signal(Signal::KILL);
            // What is in the journal and was not printed any more counts.
            let journal = project.ok(&["events", "--format", "json"]).out();
            let events: Vec<serde_json::Value> =
                journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            before = open_after(&Open::new(), &events);
            ids = events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
            watcher = Watcher::start(&project, &[]);
        }
        agree(&project, &mut watcher, &before, &done);
    }
    watcher.take();
    ids.extend(watcher.events.iter().map(|event| event["id"].as_str().unwrap().to_owned()));
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "an event has another one's id");
}

/// Waits until what is open by the events is what a fresh check finds.
fn agree(project: &Project, watcher: &mut Watcher, before: &Open, done: &[String]) {
    let mut last = (Open::new(), Open::new());
    let start = std::time::Instant::now();
    wait_until(|| {
        last = (without_words(&watcher.open(before)), without_words(&found_now(project)));
        let has_settled = last.0 == last.1;
        assert!(
            has_settled || start.elapsed().as_secs() < 60,
            "after {done:#?}\nby events: {:#?}\nby a check: {:#?}\n{:#?}",
            last.0,
            last.1,
            watcher.events
        );
        has_settled
    });
}
