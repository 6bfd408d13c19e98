//! How what came of a call is called: callers ask its parent, and the answer names it.

use crate::{
    schema::{Method, NAME_BYTES_MAX},
    transcode::{Peeked, Plan, Transcoder},
};

/// Names what a method creates.
#[derive(Debug)]
pub(super) struct Naming {
    collection: String,
    request: Plan,
    response: Plan,
}

impl Naming {
    /// Works out how a method names what it creates.
    pub(super) fn of(transcoder: &Transcoder, method: &Method) -> Self {
        Self {
            collection: method.collection.clone(),
            request: transcoder.plan(method.input),
            response: transcoder.plan(method.output),
        }
    }

    /// Whether a request only asks what would happen.
    pub(super) fn is_rehearsal(&self, request: &[u8]) -> bool {
        matches!(self.request.peek(request, "validate_only"), Ok(Some(Peeked::Varint(1..))))
    }

    /// Names what came of a call below the resource that it was asked of; `None` if that is what the call was about, or the
    /// answer names nothing, or in more than [`NAME_BYTES_MAX`] bytes: upstreams answer what they like.
    pub(super) fn created(&self, asked: &str, reply: &[u8]) -> Option<String> {
        let name = self.response.peek(reply, "name").ok().flatten().and_then(Peeked::text)?;
        self.below(asked, name)
    }

    /// Spells a name as callers know it, if it is of something of the collection below what was asked: by that and the end of
    /// the name. An upstream may call the project by its number.
    fn below(&self, asked: &str, name: &str) -> Option<String> {
        if asked.is_empty() || self.own(asked).is_some() {
            return None;
        }
        let end = self.own(name).filter(|end| asked.len() + end.len() < NAME_BYTES_MAX)?;
        Some(format!("{asked}/{end}"))
    }

    /// Returns the end of a name of something in the collection.
    fn own<'n>(&self, name: &'n str) -> Option<&'n str> {
        let (rest, id) = name.rsplit_once('/')?;
        let before = rest.strip_suffix(&*self.collection)?;
        let is_own = !id.is_empty() && !self.collection.is_empty() && before.ends_with('/');
        is_own.then(|| &name[before.len()..])
    }
}
