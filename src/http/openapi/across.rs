//! Lists that can be read across: which places of their paths a `-` may stand for, and how that is told.

use utoipa::openapi::{
    Schema,
    header::{Header, HeaderBuilder},
};

use super::{
    address::{Path, Wildcard},
    schemas::string,
};
use crate::schema::{Address, Part, Segment, singular};

/// The parameter that asks for what can be read, as a component and as a field of those messages that have it.
pub(super) const PARTIAL: &str = "returnPartialSuccess";
/// The same field in a proto.
pub(super) const PARTIAL_FIELD: &str = "return_partial_success";
/// What names the parts that could not be read, and its component.
pub(super) const UNREACHABLE: (&str, &str) = ("Causeway-Unreachable", "Unreachable");

/// Lists the wildcards for which the gateway takes a `-`.
pub(super) fn wildcards<'p>(address: &Address<'_>, path: &'p Path) -> Vec<&'p Wildcard> {
    let crossed = path.wildcards.iter().filter(|wildcard| is_crossed(address, wildcard));
    if address.method.list.is_some() { crossed.collect() } else { Vec::new() }
}

/// Whether the gateway takes a `-` for a wildcard: what it stands for is found by the collection in the same variable.
fn is_crossed(address: &Address<'_>, wildcard: &Wildcard) -> bool {
    let Some((variable, before)) = wildcard.variable.zip(wildcard.position.checked_sub(1)) else {
        return false;
    };
    let segment = &address.template.segments()[address.template.span(variable).start + before];
    let Segment::Literal(collection) = segment else { return false };
    let part = address.method.parts.get(&singular(collection));
    part.is_some_and(|part| *part != Part::Upstream)
}

/// Says what a `-` does; `None`: nothing.
pub(super) fn told(address: &Address<'_>, path: &Path) -> Option<String> {
    let names: Vec<String> =
        wildcards(address, path).iter().map(|wildcard| format!("`{{{}}}`", wildcard.name)).collect();
    if names.is_empty() {
        return None;
    }
    let configured = address.method.parts.values().any(|part| *part == Part::Config);
    let (upstream, names) = (&address.method.upstream, names.join(" or "));
    let known = match configured {
        true => format!(" Its locations are those in `upstreams.{upstream}.locations` of the configuration."),
        false => String::new(),
    };
    Some(format!(
        "A `-` for {names} reads across all that you may see there, one after the other in the order of their names; \
         `pageSize` is then 100 unless set, and 1000 at most.{known} If one cannot be read the list fails, unless \
         `{PARTIAL}` is true."
    ))
}

/// The header of an answer that was read across.
pub(super) fn unreachable() -> Header {
    HeaderBuilder::new()
        .schema(Some(Schema::from(string(None, None))))
        .description(Some(format!(
            "With `{PARTIAL}`, what could not be read of a `-`: names separated by commas. Not there if all could be.",
        )))
        .build()
}
