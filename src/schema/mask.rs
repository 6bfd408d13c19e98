//! The field mask of an update.

use super::{
    binding::{Binding, Body},
    descriptor::{Behavior, Field, Kind, Message, Pool, Rpc},
    effect::Effect,
    service_config::Derive,
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
    /// The field of the request that has what is changed, whose fields the mask names; `None` where it cannot be told.
    pub resource: Option<String>,
}

impl UpdateMask {
    /// Finds the mask of a method.
    ///
    /// # Errors
    /// A rule about this method alone has it derived, and there is none, or nothing to derive it from.
    pub(super) fn of(
        pool: &Pool,
        rpc: &Rpc,
        bindings: &[Binding],
        effect: Effect,
        derive: Option<Derive>,
    ) -> Result<Option<Self>, String> {
        let request = pool.message(rpc.input);
        let field = NAMES
            .iter()
            .find_map(|name| request.field(name))
            .filter(|field| effect == Effect::Mutation && !field.is_repeated() && is_mask(pool, field.kind));
        let is_patch = bindings.iter().any(|binding| binding.verb == "PATCH");
        let mask = field.map(|field| {
            let resource = resource(pool, request, bindings);
            Self {
                field: field.name.clone(),
                required: field.is(Behavior::Required),
                derive: derive.is_some_and(|derive| derive.on) && is_patch && resource.is_some(),
                resource,
            }
        });
        let is_asked = derive.is_some_and(|derive| derive.on && !derive.where_possible);
        if is_asked && !mask.as_ref().is_some_and(|mask| mask.derive) {
            let names = NAMES.join(" or ");
            return Err(format!(
                "derive_mask: the method is no PATCH with a mask ({names}) and one resource to change"
            ));
        }
        Ok(mask)
    }
}

/// Finds the field that has the resource of an update: the body, else what the template has the name of, else the only
/// message there is beside the mask.
fn resource(pool: &Pool, request: &Message, bindings: &[Binding]) -> Option<String> {
    let is_resource = |field: &Field| {
        let name = field.kind.message().map(|id| &pool.message(id).full_name);
        !field.is_repeated() && name.is_some_and(|name| !name.starts_with("google.protobuf."))
    };
    let patches = || bindings.iter().filter(|binding| binding.verb == "PATCH");
    let bodies = patches().filter_map(|binding| match &binding.body {
        Body::Field(name) => Some(name.as_str()),
        Body::All | Body::None => None,
    });
    let variables = patches().flat_map(|binding| binding.template.variables());
    let homes = variables.filter_map(|variable| {
        let mut names = variable.segments();
        names.next().filter(|_| names.next().is_some())
    });
    let named = bodies.chain(homes).find_map(|name| request.field(name).filter(|field| is_resource(field)));
    let only = || {
        let mut all = request.fields.iter().filter(|field| is_resource(field));
        all.next().filter(|_| all.next().is_none())
    };
    named.or_else(only).map(|field| field.name.clone())
}

fn is_mask(pool: &Pool, kind: Kind) -> bool {
    kind.message().is_some_and(|id| *pool.message(id).full_name == *FIELD_MASK)
}
