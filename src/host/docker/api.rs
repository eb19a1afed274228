//! The API of an engine: calls for JSON over HTTP/1.1, whatever carries them. They name no version, so that the engine answers
//! in its own: <https://docs.docker.com/reference/api/engine/>.

use std::error::Error;
use std::io;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{error::Elapsed, timeout};

use super::DEADLINE;
use super::transport::{Connector, Opening};

/// An engine. Its connections are used again for later calls.
#[derive(Clone)]
pub(in crate::host) struct EngineApi {
    client: Client<Connector, Full<Bytes>>,
    /// What stands before every path.
    base: String,
}

/// The reason why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The engine answered with the status of a refusal.
    #[error("it answered {status}")]
    Status {
        /// The status.
        status: StatusCode,
        /// Its own words.
        message: String,
    },
    /// The answer is not the JSON of an engine.
    #[error("its answer is not what an engine says")]
    Json(#[from] serde_json::Error),
    /// The address cannot be asked.
    #[error("it has no address that can be asked")]
    Address(#[from] hyper::http::Error),
    /// The connection could not be made, or broke before the answer.
    #[error("the connection failed")]
    Connection(#[from] hyper_util::client::legacy::Error),
    /// It broke within the answer.
    #[error("the answer broke off")]
    Answer(#[from] hyper::Error),
    /// The answer did not come in time.
    #[error("it did not answer in time")]
    Late(#[from] Elapsed),
    /// The call was not made to its end.
    #[error("the call ended")]
    Ended(#[from] tokio::task::JoinError),
}

impl CallError {
    /// Whether the engine said that there is no such thing.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::NOT_FOUND, .. })
    }

    /// Whether the engine failed.
    pub(super) fn is_failure_of_engine(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::INTERNAL_SERVER_ERROR, .. })
    }

    /// The error of the system below.
    pub(super) fn cause(&self) -> Option<&io::Error> {
        self.causes().find_map(|cause| cause.downcast_ref::<io::Error>())
    }

    /// What the innermost of its causes says.
    pub(super) fn innermost(&self) -> String {
        self.causes().last().map_or_else(|| self.to_string(), ToString::to_string)
    }

    fn causes(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        fn below<'a>(cause: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
            (*cause).source()
        }
        std::iter::successors(self.source(), below)
    }
}

/// An engine's own words of a failure.
#[derive(Deserialize)]
struct Message {
    message: String,
}

impl EngineApi {
    /// The engine of a server, whose connections `open` makes: its answers have an end.
    pub(in crate::host) fn of_server(open: impl Fn() -> Opening + Send + Sync + 'static) -> Self {
        Self::new(Connector::bounded(open), "docker")
    }

    /// The engine of a server that sends an archive: that may have any size.
    pub(in crate::host) fn of_archive(open: impl Fn() -> Opening + Send + Sync + 'static) -> Self {
        Self::new(Connector::unbounded(open), "docker")
    }

    /// The engine of this machine, whose connections `open` makes. It is called `authority`: `host:port`, and a path that
    /// stands before every other.
    pub(super) fn of_this_machine(
        authority: &str,
        open: impl Fn() -> Opening + Send + Sync + 'static,
    ) -> Self {
        Self::new(Connector::unbounded(open), authority)
    }

    fn new(connector: Connector, authority: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, base: format!("http://{}", authority.trim_end_matches('/')) }
    }

    /// Asks for `path`, with its query, and reads the answer.
    ///
    /// # Errors
    /// When no answer came, or it is a refusal, or of another shape.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.read(Method::GET, path, Bytes::new()).await
    }

    /// Sends JSON to `path`, and reads the answer.
    ///
    /// # Errors
    /// As [`EngineApi::get`].
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        sent: &serde_json::Value,
    ) -> Result<T, CallError> {
        self.read(Method::POST, path, sent.to_string().into()).await
    }

    /// Sends bytes to `path`, and reads the answer to its end.
    ///
    /// # Errors
    /// As [`EngineApi::get`].
    pub(super) async fn send(&self, method: Method, path: &str, sent: Bytes) -> Result<Bytes, CallError> {
        let answer = self.answer(method, path, sent).await?;
        Ok(timeout(DEADLINE * 2, answer.into_body().collect()).await??.to_bytes())
    }

    /// Has what stands at `path` removed.
    ///
    /// # Errors
    /// When no answer came, or it is a refusal.
    pub(super) async fn delete(&self, path: &str) -> Result<(), CallError> {
        self.answer(Method::DELETE, path, Bytes::new()).await.map(drop)
    }

    async fn read<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        sent: Bytes,
    ) -> Result<T, CallError> {
        Ok(serde_json::from_slice(&self.send(method, path, sent).await?)?)
    }

    /// A header of the answer to a call that has no body.
    ///
    /// # Errors
    /// When no answer came, or it is a refusal.
    pub(super) async fn header(&self, path: &str, name: &str) -> Result<Option<String>, CallError> {
        let answer = self.answer(Method::HEAD, path, Bytes::new()).await?;
        Ok(answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned))
    }

    /// Gives the pieces of an answer to `take` as they come; the next one must come in time.
    ///
    /// # Errors
    /// When no answer came, it is a refusal or breaks off, or `take` fails.
    pub(super) async fn stream<E: From<CallError>>(
        &self,
        path: &str,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.pieces(Method::GET, path, Bytes::new(), take).await
    }

    /// The same of the answer to JSON.
    ///
    /// # Errors
    /// As [`EngineApi::stream`].
    pub(super) async fn post_stream<E: From<CallError>>(
        &self,
        path: &str,
        sent: &serde_json::Value,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.pieces(Method::POST, path, sent.to_string().into(), take).await
    }

    async fn pieces<E: From<CallError>>(
        &self,
        method: Method,
        path: &str,
        sent: Bytes,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut body = self.answer(method, path, sent).await?.into_body();
        loop {
            let frame = timeout(DEADLINE, body.frame()).await.map_err(CallError::from)?;
            let Some(frame) = frame.transpose().map_err(CallError::from)? else { return Ok(()) };
            if let Some(piece) = frame.data_ref() {
                take(piece)?;
            }
        }
    }

    /// Gives the pieces of an answer that goes on until the engine ends it, however long it says nothing in between; `begun` is
    /// called when the engine has agreed.
    ///
    /// # Errors
    /// When no answer came, or it is a refusal or breaks off.
    pub(super) async fn follow(
        &self,
        path: &str,
        begun: &mut (dyn FnMut() + Send),
        take: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<(), CallError> {
        let mut body = self.answer(Method::GET, path, Bytes::new()).await?.into_body();
        begun();
        while let Some(frame) = body.frame().await.transpose()? {
            frame.data_ref().into_iter().for_each(|piece| take(piece));
        }
        Ok(())
    }

    /// The answer to a call, if it is none of a refusal.
    async fn answer(&self, method: Method, path: &str, sent: Bytes) -> Result<Response<Incoming>, CallError> {
        log::debug!(method = method.as_str(), path; "asks the engine");
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::new(sent))?;
        let answer = timeout(DEADLINE * 2, self.client.request(request)).await??;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = timeout(DEADLINE * 2, answer.into_body().collect()).await??.to_bytes();
        let message = serde_json::from_slice::<Message>(&body).map(|said| said.message);
        let message = message.unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned());
        Err(CallError::Status { status, message })
    }
}
