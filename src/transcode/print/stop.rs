//! Why printing ends before the end.

use crate::{
    error::{Code, Error, Reason},
    transcode::wire::Malformed,
};

/// Why a pass ended early. Two words, as [`Malformed`] is one.
pub(in crate::transcode) enum Stop {
    /// One pass cannot tell; begin again, with care.
    Redo,
    /// A limit is passed. Unlike damage inside an `Any`, nothing makes up for it.
    Spent(&'static &'static str),
    /// The bytes are no message of the type.
    Bad(&'static &'static str),
}

impl From<Malformed> for Stop {
    fn from(malformed: Malformed) -> Self {
        Self::Bad(malformed.0)
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        damaged(malformed.0)
    }
}

/// Bytes from an upstream that are no message of the type they should be.
#[cold]
pub(super) fn damaged(what: &str) -> Error {
    Error::new(
        Code::Internal,
        Reason::UpstreamInvalidResponse,
        format!("A protobuf message cannot be read: {what}."),
    )
}

#[cold]
pub(super) fn spent(what: &str) -> Error {
    Error::new(
        Code::Internal,
        Reason::LimitExceeded,
        format!(
            "The upstream's answer cannot be shown: {what}. Ask for less, such as a smaller page or fewer fields."
        ),
    )
}
