//! A request to an endpoint of ours, and what their handlers do with it.

use bytes::Bytes;
use http::request::Parts;
use serde_json::Value;

use crate::{
    error::{Error, Result},
    gateway::{self, Answer, Caller, Notes, Twice},
    http::{
        Server,
        edge::{
            Exchange,
            body::{self as inbound, Inbound},
        },
        idempotency, proxied,
    },
    schema::Captures,
    transcode::Query,
};

/// A request to an endpoint of ours.
pub(in crate::http) struct Asked<'r> {
    /// The values of the template's variables.
    pub(in crate::http) captures: &'r Captures<'r>,
    /// The query.
    pub(in crate::http) query: &'r str,
    /// The head.
    pub(in crate::http) head: &'r Parts,
    /// The body, not yet read.
    pub(in crate::http) inbound: &'r mut Inbound,
    /// What is known of the request.
    pub(in crate::http) exchange: &'r Exchange,
    /// What is noted of it.
    pub(in crate::http) notes: &'r mut Notes,
    /// The body, once it was read.
    sent: Bytes,
}

impl<'r> Asked<'r> {
    /// Joins the parts.
    pub(in crate::http) fn new(
        captures: &'r Captures<'r>,
        query: &'r str,
        head: &'r Parts,
        inbound: &'r mut Inbound,
        exchange: &'r Exchange,
        notes: &'r mut Notes,
    ) -> Self {
        Self { captures, query, head, inbound, exchange, notes, sent: Bytes::new() }
    }

    /// Reads the body, whatever it is.
    pub(super) async fn body(&mut self) -> Result<Bytes> {
        self.sent = self.inbound.read(&self.head.headers).await?;
        Ok(self.sent.clone())
    }

    /// Says what the body that was read means: however it is packed, that is what is asked for.
    pub(super) fn means(&mut self, message: Bytes) {
        self.sent = message;
    }

    /// Reads the body, which must be JSON.
    pub(super) async fn json(&mut self) -> Result<Bytes> {
        let body = self.body().await?;
        inbound::require_json(&self.head.headers, &body)?;
        Ok(body)
    }

    /// Does what changes something: written down before and after, done though the caller leaves, and once for each
    /// Idempotency-Key. The body must have been read.
    pub(super) async fn change(
        &mut self,
        server: &Server,
        twice: Twice,
        work: impl Future<Output = Result<Answer>> + Send + 'static,
    ) -> Result<Value> {
        self.notes.idempotency_key = idempotency::key(&self.head.headers)?;
        let method = self.notes.entry.method.clone();
        // However it is laid out, it asks for the same.
        let sent = serde_json::from_slice::<Value>(&self.sent).map(|sent| sent.to_string());
        let sent = sent.as_ref().map_or(&self.sent[..], |sent| sent.as_bytes());
        let asked = [method.as_bytes(), self.head.uri.path().as_bytes(), self.query.as_bytes(), sent];
        gateway::journaled(&server.gateway, self.notes, twice, &asked, work).await
    }

    /// Tells who asks, and on what terms.
    ///
    /// # Errors
    /// Nobody was asked who they are: a fault of ours.
    pub(super) fn caller(&self) -> Result<Caller<'_>> {
        proxied::caller(self.head, self.exchange)
    }

    /// Refuses parameters where there are none.
    pub(super) fn no_parameters(&self) -> Result<()> {
        match Query::parse(self.query, |_| false)?.pairs.first() {
            Some((name, _)) => Err(Error::unknown_field(name.clone(), "this method takes no parameters")),
            None => Ok(()),
        }
    }
}
