//! Sessions of people who logged in with a token: random, in memory, and over as soon as their token is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::control::waits;
use crate::model::Digest;
use crate::serve::secret::{NoRandomness, random_text};
use crate::serve::tokens::TokenOwner;

/// The number of sessions that there may be; the one that was used longest ago goes first.
const MOST: usize = 1000;

struct SiteSession {
    token: Digest,
    csrf: String,
    began: Instant,
    used: Instant,
}

impl SiteSession {
    fn is_over(&self) -> bool {
        self.began.elapsed() >= waits::SESSION.most || self.used.elapsed() >= waits::SESSION_IDLE.most
    }
}

/// What is known of a session that is not over.
pub(super) struct KnownSession {
    /// The token that it was begun with, which may have been revoked since.
    pub(super) token: Digest,
    /// What its forms must bring.
    pub(super) csrf: String,
}

/// All sessions, by the digests of their names.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<Digest, SiteSession>>);

impl Sessions {
    fn with<T>(&self, edit: impl FnOnce(&mut HashMap<Digest, SiteSession>) -> T) -> T {
        edit(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins a session: its name, for the cookie.
    pub(super) fn begin(&self, owner: &TokenOwner) -> Result<String, NoRandomness> {
        let (name, csrf) = (random_text()?, random_text()?);
        let now = Instant::now();
        let session = SiteSession { token: owner.digest, csrf, began: now, used: now };
        self.with(|sessions| {
            sessions.retain(|_, session| !session.is_over());
            if sessions.len() >= MOST {
                let oldest = sessions.iter().min_by_key(|(_, session)| session.used).map(|(name, _)| *name);
                oldest.map(|oldest| sessions.remove(&oldest));
            }
            sessions.insert(Digest::of(name.as_bytes()), session);
        });
        Ok(name)
    }

    /// The session of that name, which is used by this.
    pub(super) fn find(&self, name: &str) -> Option<KnownSession> {
        let key = Digest::of(name.as_bytes());
        self.with(|sessions| {
            let session = sessions.get_mut(&key)?;
            if session.is_over() {
                sessions.remove(&key);
                return None;
            }
            session.used = Instant::now();
            Some(KnownSession { token: session.token, csrf: session.csrf.clone() })
        })
    }

    /// Whether a session goes on, which is no use of it.
    pub(super) fn is_live(&self, name: &str) -> bool {
        let key = Digest::of(name.as_bytes());
        self.with(|sessions| sessions.get(&key).is_some_and(|session| !session.is_over()))
    }

    /// Ends a session.
    pub(super) fn end(&self, name: &str) {
        self.with(|sessions| sessions.remove(&Digest::of(name.as_bytes())));
    }

    /// Ends all sessions of a token.
    pub(super) fn end_of(&self, token: &Digest) {
        self.with(|sessions| sessions.retain(|_, session| session.token != *token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::tokens::TokenRole;

    fn owner(name: &str) -> TokenOwner {
        TokenOwner { name: name.to_owned(), role: TokenRole::Read, digest: Digest::of(name.as_bytes()) }
    }

    #[test]
    fn a_session_lasts_until_it_or_its_token_ends() {
        let sessions = Sessions::default();
        let [one, other] = [(); 2].map(|()| sessions.begin(&owner("ci")).unwrap());
        let third = sessions.begin(&owner("eve")).unwrap();
        assert_ne!(sessions.find(&one).unwrap().csrf, sessions.find(&other).unwrap().csrf);
        sessions.end(&one);
        assert!(sessions.find(&one).is_none() && sessions.find(&other).is_some());
        sessions.end_of(&owner("ci").digest);
        assert!(sessions.find(&other).is_none() && sessions.find(&third).is_some());
        assert!(sessions.find("").is_none());
    }

    #[test]
    fn there_are_never_too_many() {
        let sessions = Sessions::default();
        let first = sessions.begin(&owner("ci")).unwrap();
        let names: Vec<String> = (0..MOST).map(|_| sessions.begin(&owner("ci")).unwrap()).collect();
        assert!(sessions.find(&first).is_none());
        assert!(names.iter().all(|name| sessions.find(name).is_some()));
    }
}
