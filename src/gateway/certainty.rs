//! How a call ended: as the audit log keeps it, and whether anything was done.

use crate::{
    error::{Code, Error, Result},
    model::{Ending, Outcome},
};

/// What an answer says about whether anything was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    /// It was done, or never will be: trying again would give the same.
    Definite,
    /// Nothing was done, and trying again may help.
    NotDone,
    /// Nobody can tell.
    Unknown,
}

impl Certainty {
    /// Tells it from the answer of an upstream.
    pub(super) fn of<T>(result: &Result<T>) -> Self {
        let error = match result {
            Ok(_) => return Self::Definite,
            Err(error) if error.nothing_sent() => return Self::NotDone,
            Err(error) => error,
        };
        match error.code() {
            Code::Unauthenticated | Code::PermissionDenied | Code::ResourceExhausted
                if !error.maybe_done() =>
            {
                Self::NotDone
            }
            Code::Unauthenticated | Code::PermissionDenied | Code::ResourceExhausted => Self::Unknown,
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Aborted => {
                Self::Unknown
            }
            _ if error.reason().is_some() => Self::Unknown,
            _ => Self::Definite,
        }
    }

    /// Tells it from what came of something of our own: what we refuse has changed nothing.
    pub(super) fn of_own<T>(result: &Result<T>) -> Self {
        let Err(error) = result else { return Self::Definite };
        match error.code() {
            _ if error.nothing_sent() => Self::NotDone,
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
            | Code::DataLoss => Self::Unknown,
            _ => Self::NotDone,
        }
    }
}

/// Says how a request ended, as the audit log keeps it.
pub(super) fn outcome<T>(result: &Result<T>, status_of: fn(&Error) -> u16) -> Outcome {
    let Err(error) = result else {
        return Outcome { ending: Ending::Success, status: 200, ..Outcome::default() };
    };
    let ending = match error.code() {
        Code::Unauthenticated | Code::PermissionDenied => Ending::Denied,
        _ => Ending::Error,
    };
    Outcome {
        ending,
        status: status_of(error),
        code: error.code().number(),
        reason: error.reason().map(|reason| reason.name().to_owned()).unwrap_or_default(),
        ..Outcome::default()
    }
}
