//! Oneofs: groups of fields of which at most one may be set.

use serde_json::{Map, Value, json};
use utoipa::openapi::{ObjectBuilder, Schema};

use super::prose::{listed, paragraphs};
use crate::schema::Message;

/// Finishes the schema of a message: its description, and its oneofs in words and as a constraint.
pub(super) fn constrain(
    object: ObjectBuilder,
    message: &Message,
    without: &[String],
    text: String,
) -> Schema {
    let mut words = vec![text];
    let mut alone = Map::new();
    for (at, name) in (0..).zip(&message.oneofs) {
        let members: Vec<String> = message
            .fields
            .iter()
            .filter(|field| field.oneof == Some(at) && !without.contains(&field.name))
            .map(|field| field.json_name.clone())
            .collect();
        if members.len() > 1 {
            words.push(format!("At most one of {} may be set (`{name}`).", listed(&members)));
            alone.extend(members.iter().map(|member| (member.clone(), without_others(member, &members))));
        }
    }
    let text = paragraphs(words);
    let mut object = object.description((!text.is_empty()).then_some(text)).build();
    if !alone.is_empty() {
        // A keyword of JSON Schema that the builder of objects does not know.
        object.extensions = Some([("dependentSchemas", Value::Object(alone))].into_iter().collect());
    }
    object.into()
}

/// What holds once a member is set: no other is there. Generators that know no such keyword make one type of all members; of
/// `oneOf` they would make a type for each, or none at all. Programs that make up requests understand it said by `properties`
/// at any number of members, and by `propertyNames` not.
fn without_others(member: &str, members: &[String]) -> Value {
    let others = members.iter().filter(|other| *other != member);
    let none: Map<String, Value> = others.map(|other| (other.clone(), Value::Bool(false))).collect();
    json!({"properties": none})
}
