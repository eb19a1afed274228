use driftlock::host::ssh::*;
use driftlock::host::*;
use std::sync::Arc;
struct P;
impl Prompt for P {
    fn passphrase(&self, _: &str) -> Option<Secret> {
        None
    }
    fn believes(&self, _: &str, _: &str) -> bool {
        false
    }
    fn note(&self, t: &str) {
        eprintln!("{t}")
    }
}
fn main() {
    let hop = Hop {
        name: "x".into(),
        address: std::env::args().nth(1).unwrap(),
        port: std::env::args().nth(2).unwrap().parse().unwrap(),
        user: "root".into(),
        trust: Trust::default(),
        identities: Identities {
            key: Some(std::env::args().nth(3).unwrap().into()),
            agent: std::env::var_os("SSH_AUTH_SOCK").map(Into::into),
            ..Default::default()
        },
    };
    let h = SshHost::new(
        Route { hops: vec![hop] },
        Layout::of_root(std::path::Path::new("/")),
        Access { timeout: std::time::Duration::from_secs(10), sudo: false, engine: EngineAccess::Auto },
        Arc::new(P),
    );
    let t = std::time::Instant::now();
    println!("{:?} {:?}", h.observe(&[], &Watch::default()), t.elapsed());
}
