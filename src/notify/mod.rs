//! Telling somebody of changes: what is news, how it is said, and how it gets there.

pub(crate) mod after_check;
mod command;
pub(crate) mod credentials;
mod decide;
mod deliver;
mod email;
mod http;
mod secret;
mod slack;
mod smtp;
mod state;
mod ticket;
mod title;
mod undelivered;

pub use command::Program;
pub use decide::{Earlier, Event, LastNotification, NoticeScope, Seen};
pub use deliver::{Delivery, DeliveryOutcome, News, Outlet, Way, deliver, is_due, send};
pub use http::{Client, FetchError, Network};
pub use secret::{Secret, Webhook};
pub use slack::MessageContext;
pub use smtp::Mailer;
pub(crate) use ticket::Ticket;
