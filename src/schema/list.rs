//! Methods that read a collection in pages (AIP-158).

use super::{
    descriptor::{Field, Kind, Message, Pool, Rpc},
    service_config::ListRule,
};

/// How a method pages. The request has `page_size` and `page_token`, the response `next_page_token`, unless a YAML rule
/// called it a list without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// The field of the response with the items.
    pub items: String,
    /// Whether the response has `unreachable`, where the parts that did not answer are named.
    pub unreachable: bool,
}

impl List {
    /// Tells by the shape of the messages, corrected by a YAML rule.
    ///
    /// # Errors
    /// A rule that calls a method a list whose response leaves open where the items are.
    pub(super) fn of(pool: &Pool, rpc: &Rpc, rule: Option<&ListRule>) -> Result<Option<Self>, String> {
        let (request, response) = (pool.message(rpc.input), pool.message(rpc.output));
        let items = match rule {
            Some(ListRule::Not) => None,
            None => shaped(request, response),
            Some(ListRule::Is) => Some(only(response, |_| true).ok_or_else(|| {
                format!(
                    "list: {} has not one repeated field; name the one with the items",
                    response.full_name
                )
            })?),
            Some(ListRule::Items(name)) => Some(
                response
                    .field(name)
                    .filter(|field| is_list(field))
                    .ok_or_else(|| format!("list: {} has no repeated field {name}", response.full_name))?,
            ),
        };
        let unreachable =
            response.field("unreachable").is_some_and(|field| is_list(field) && field.kind == Kind::String);
        Ok(items.map(|items| Self { items: items.name.clone(), unreachable }))
    }
}

fn shaped<'m>(request: &Message, response: &'m Message) -> Option<&'m Field> {
    let has = |message: &Message, name: &str, kind: fn(Kind) -> bool| {
        message.field(name).is_some_and(|field| !field.is_repeated() && kind(field.kind))
    };
    let text = |kind| kind == Kind::String;
    let number = |kind| matches!(kind, Kind::Int32 | Kind::Uint32 | Kind::Int64);
    let pages = has(request, "page_size", number)
        && has(request, "page_token", text)
        && has(response, "next_page_token", text);
    only(response, |field| field.kind.message().is_some()).filter(|_| pages)
}

/// Returns the only repeated field that fits.
fn only(message: &Message, fits: impl Fn(&Field) -> bool) -> Option<&Field> {
    let mut fields = message.fields.iter().filter(|field| is_list(field) && fits(field));
    let first = fields.next()?;
    fields.next().is_none().then_some(first)
}

fn is_list(field: &Field) -> bool {
    field.cardinality == super::descriptor::Cardinality::Repeated
}
