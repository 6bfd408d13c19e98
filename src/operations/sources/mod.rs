//! What operations mirror: one file for each kind, behind one trait.
//!
//! A source knows the messages of its system and nothing else: it makes requests and reads answers, and makes no call.
//! What looks like the end of an operation and is not is decided here, too: it depends on the system.

mod backfill;
mod flyte;
mod lro;
mod metadata;

use bytes::Bytes;
use http::uri::PathAndQuery;

use super::Sighting;
use crate::{
    crypto::Sealer,
    error::{Code, Error, Result},
    model::{Kind, Operation},
    transcode::Transcoder,
};

pub use self::{
    backfill::{Backfill, Run},
    flyte::{Flyte, Meta, TASK_TYPE},
    lro::Lro,
};

/// One request to an upstream.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method as a path.
    pub path: PathAndQuery,
    /// The message in wire format.
    pub message: Bytes,
    /// Name of the field that routes it, and its value.
    pub routing: Option<(&'static str, String)>,
}

/// One page of a list: what [`Source::read`] reads, by name.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// Names and messages.
    pub items: Vec<(String, Vec<u8>)>,
    /// Token of the next page; empty at the end.
    pub next: String,
}

/// What a refusal says about the operation that was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It is not there.
    Gone,
    /// It cannot be asked about, ever.
    Unsupported,
    /// We may not look.
    Denied,
    /// Too many calls.
    TooMuch,
    /// Nothing: try again.
    Nothing,
}

/// One system's way with what takes long.
pub trait Source: Send + Sync {
    /// Makes the request that asks about one operation.
    ///
    /// # Errors
    /// What is remembered of it cannot be read.
    fn look(&self, operation: &Operation) -> Result<Ask>;

    /// Reads the answer. An error means that it cannot be decoded.
    ///
    /// # Errors
    /// The bytes are not what they should be.
    fn read(&self, operation: &Operation, message: &[u8]) -> Result<Sighting>;

    /// Makes the request that lists what is open under a parent; `None` where nothing can be listed.
    fn list(&self, parent: &str, token: &str) -> Option<Ask>;

    /// Reads a page of such a list.
    ///
    /// # Errors
    /// The bytes are not what they should be.
    fn read_page(&self, message: &[u8]) -> Result<Listed>;

    /// Makes the request that asks an operation to stop.
    ///
    /// # Errors
    /// What is remembered of it cannot be read.
    fn cancel(&self, operation: &Operation) -> Result<Ask>;

    /// Says what a refusal means.
    fn meaning(&self, error: &Error) -> Meaning {
        match error.code() {
            _ if error.nothing_sent() || error.reason().is_some() => Meaning::Nothing,
            Code::NotFound => Meaning::Gone,
            Code::Unimplemented => Meaning::Unsupported,
            Code::PermissionDenied | Code::Unauthenticated => Meaning::Denied,
            Code::ResourceExhausted => Meaning::TooMuch,
            _ => Meaning::Nothing,
        }
    }
}

/// All sources.
pub struct Sources {
    transcoder: Transcoder,
    lro: Lro,
    backfill: Backfill,
    flyte: Flyte,
}

impl Sources {
    /// Makes them. `sealer` keeps what must not be read from the database.
    pub fn new(transcoder: Transcoder, sealer: Sealer) -> Self {
        Self { lro: Lro::new(transcoder.clone()), backfill: Backfill, flyte: Flyte::new(sealer), transcoder }
    }

    /// Returns the types that messages are made of.
    pub fn transcoder(&self) -> &Transcoder {
        &self.transcoder
    }

    /// Returns the source of a kind.
    pub fn of(&self, kind: Kind) -> &dyn Source {
        match kind {
            Kind::GoogleLro => &self.lro,
            Kind::DatastreamBackfill => &self.backfill,
            Kind::FlyteTask => &self.flyte,
        }
    }

    /// Returns the one for tasks.
    pub fn flyte(&self) -> &Flyte {
        &self.flyte
    }
}

/// Decodes a message by its generated type.
fn decode<M: prost::Message + Default>(bytes: &[u8]) -> Result<M> {
    M::decode(bytes).map_err(Error::internal)
}

/// Packs a message.
fn pack(type_name: &str, message: &impl prost::Message) -> Vec<u8> {
    let any = prost_types::Any {
        type_url: format!("type.googleapis.com/{type_name}"),
        value: message.encode_to_vec(),
    };
    prost::Message::encode_to_vec(&any)
}

fn path(text: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(text)
}

/// A timestamp in microseconds since 1970.
fn micros(at: Option<&prost_types::Timestamp>) -> Option<i64> {
    at.map(|at| at.seconds.saturating_mul(1_000_000).saturating_add(i64::from(at.nanos / 1000)))
}

/// Prints a packed message as JSON; null if it cannot be.
pub(super) fn metadata_json(transcoder: &Transcoder, any: &[u8]) -> serde_json::Value {
    metadata::json(transcoder, any)
}

/// The resource and the time that an operation's metadata names.
pub(super) fn target_and_start(transcoder: &Transcoder, any: &[u8]) -> (Option<String>, Option<i64>) {
    let facts = metadata::facts(&metadata::json(transcoder, any));
    (facts.target, facts.started_at)
}
