//! Oneofs: groups of fields of which at most one may be set.

use serde_json::{Value, json};
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
    let mut constraints = Vec::new();
    for (at, name) in (0..).zip(&message.oneofs) {
        let members: Vec<String> = message
            .fields
            .iter()
            .filter(|field| field.oneof == Some(at) && !without.contains(&field.name))
            .map(|field| field.json_name.clone())
            .collect();
        if members.len() > 1 {
            words.push(format!("At most one of {} may be set (`{name}`).", listed(&members)));
            constraints.push(at_most_one(&members));
        }
    }
    let text = paragraphs(words);
    let mut object = object.description((!text.is_empty()).then_some(text)).build();
    if !constraints.is_empty() {
        // A keyword of JSON Schema that the builder of objects does not know.
        object.extensions = Some([("allOf", Value::Array(constraints))].into_iter().collect());
    }
    object.into()
}

/// One of them, or none.
fn at_most_one(members: &[String]) -> Value {
    let mut ways: Vec<Value> = members.iter().map(|member| json!({"required": [member]})).collect();
    ways.push(json!({"not": {"anyOf": ways.clone()}}));
    json!({"oneOf": ways})
}
