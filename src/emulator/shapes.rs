//! Descriptors of the stored resources: what an update mask means, and what never leaves the service.

use std::sync::Arc;

use prost_types::FieldMask;
use tonic::Status;

use super::{mask, status::wrong_field};
use crate::{
    pb,
    schema::{LoadError, MessageId, Pool},
};

/// Most paths of one mask.
const PATHS_MAX: usize = 100;

/// A message whose type is known by name.
pub(super) trait Described: prost::Message + Default {
    /// Full name of the message type.
    const TYPE: &'static str;
    /// Name of the kind, as errors spell it.
    const KIND: &'static str;
}

/// The descriptors, loaded once and shared.
#[derive(Clone)]
pub(super) struct Shapes(Arc<Pool>);

impl Shapes {
    /// Loads the embedded descriptors.
    pub(super) fn load() -> Result<Self, LoadError> {
        Ok(Self(Arc::new(Pool::load(&[("embedded", pb::DESCRIPTOR_SET)])?)))
    }

    /// Returns the descriptors.
    pub(super) fn pool(&self) -> &Pool {
        &self.0
    }

    /// Returns `old` with the fields of `mask` taken from `new`; the mask is the `field` of a request. Without a mask
    /// everything is taken. Fields that only the service sets are taken too: whoever calls this sets them again.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for a path that names no field, in `snake_case` as gRPC demands.
    pub(super) fn masked<T: Described>(
        &self,
        old: &T,
        new: T,
        (field, mask): (&str, Option<&FieldMask>),
    ) -> Result<T, Status> {
        let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
        if paths.is_empty() || paths == ["*"] {
            return Ok(new);
        }
        if paths.len() > PATHS_MAX {
            return Err(wrong_field(field, format!("holds more than {PATHS_MAX} paths")));
        }
        let (of, new) = (self.id::<T>()?, new.encode_to_vec());
        let mut encoded = old.encode_to_vec();
        for path in paths {
            encoded = mask::overwrite(&self.0, of, &encoded, &new, path)
                .ok_or_else(|| wrong_field(field, format!("{path:?} names no field of {}", T::KIND)))?;
        }
        T::decode(encoded.as_slice()).map_err(|error| Status::internal(error.to_string()))
    }

    /// Returns a resource without its secrets, with the fields set that tell of their presence.
    pub(super) fn without_secrets<T: Described>(&self, resource: &T) -> Result<T, Status> {
        let stripped = mask::without_secrets(&self.0, self.id::<T>()?, &resource.encode_to_vec());
        let stripped =
            stripped.ok_or_else(|| Status::internal("a message that was just encoded does not read"))?;
        T::decode(stripped.as_slice()).map_err(|error| Status::internal(error.to_string()))
    }

    fn id<T: Described>(&self) -> Result<MessageId, Status> {
        self.0.find_message(T::TYPE).ok_or_else(|| Status::internal(format!("no descriptor of {}", T::TYPE)))
    }
}
