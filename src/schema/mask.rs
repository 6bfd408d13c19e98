//! The field mask of an update.

use super::{
    descriptor::{Behavior, Kind, Pool, Rpc},
    effect::Effect,
};

const FIELD_MASK: &str = "google.protobuf.FieldMask";
/// What the mask of an update is called.
const NAMES: &[&str] = &["update_mask", "field_mask"];

/// The mask that says which fields an update touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateMask {
    /// The field of the request.
    pub field: String,
    /// Whether the upstream insists on it.
    pub required: bool,
    /// Whether a missing one is derived from the body. Off unless a YAML rule says so: a derived mask may cover more than
    /// the caller meant.
    pub derive: bool,
}

impl UpdateMask {
    pub(super) fn of(pool: &Pool, rpc: &Rpc, effect: Effect, derive: Option<bool>) -> Option<Self> {
        let request = pool.message(rpc.input);
        let is_mask =
            |kind: Kind| kind.message().is_some_and(|id| *pool.message(id).full_name == *FIELD_MASK);
        let field = NAMES.iter().find_map(|name| request.field(name))?;
        (effect == Effect::Mutation && !field.is_repeated() && is_mask(field.kind)).then(|| Self {
            field: field.name.clone(),
            required: field.is(Behavior::Required),
            derive: derive.unwrap_or(false),
        })
    }
}
