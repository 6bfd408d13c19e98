//! What of a message may be kept in a log: an allow-list from its descriptor.
//!
//! Left out are the fields that are named, entries of maps that are called like a secret, fields that could hold anything
//! (`Any`, `Struct`, bytes), and what lies deeper or is more than the limits: what is not understood is not kept.

use super::{
    Plan,
    selection::{Node, Selection},
    tables::{Card, FieldTable, Op, Shape, Tables},
};

/// Messages within messages.
const DEPTH_MAX: usize = 12;
/// Fields in all.
const FIELDS_MAX: usize = 4096;

impl Plan {
    /// Returns everything of this message that may be kept, given the paths of what may not, by original names.
    pub fn keepable(&self, secret: &[String]) -> Selection {
        let mut walk = Walk { tables: &self.tables, secret, within: Vec::new(), fields_left: FIELDS_MAX };
        Selection::of(walk.message(self.index, ""))
    }
}

struct Walk<'w> {
    tables: &'w Tables,
    secret: &'w [String],
    within: Vec<u32>,
    fields_left: usize,
}

impl Walk<'_> {
    fn message(&mut self, index: u32, prefix: &str) -> Node {
        self.within.push(index);
        let mut children = Vec::new();
        let mut whole = true;
        let tables = self.tables;
        for field in &tables.message(index).fields {
            let path =
                if prefix.is_empty() { field.name.to_string() } else { format!("{prefix}.{}", field.name) };
            let kept = if self.secret.contains(&path) { None } else { self.field(field, &path) };
            whole &= kept.as_ref().is_some_and(Node::is_whole);
            children.extend(kept.map(|node| (field.json_name.to_string(), node)));
        }
        self.within.pop();
        if whole { Node::whole() } else { Node::of(children) }
    }

    fn field(&mut self, field: &FieldTable, path: &str) -> Option<Node> {
        self.fields_left = self.fields_left.checked_sub(1)?;
        match (field.card, field.op) {
            (Card::Map, _) => {
                let value = self.tables.message(field.child).fields.iter().find(|field| field.number == 2)?;
                let value = self.value(value, path)?;
                Some(Node::of_entries(value))
            }
            _ => self.value(field, path),
        }
    }

    fn value(&mut self, field: &FieldTable, path: &str) -> Option<Node> {
        match field.op {
            Op::Bytes => None,
            Op::Message | Op::Group => {
                let inner = self.tables.message(field.child);
                match inner.shape {
                    Shape::Any | Shape::Struct | Shape::Value | Shape::ListValue => None,
                    Shape::Wrapper if inner.fields.iter().any(|field| field.op == Op::Bytes) => None,
                    Shape::Timestamp | Shape::Duration | Shape::FieldMask | Shape::Wrapper => {
                        Some(Node::whole())
                    }
                    Shape::Plain if self.within.contains(&field.child) || self.within.len() >= DEPTH_MAX => {
                        None
                    }
                    Shape::Plain => Some(self.message(field.child, path)),
                }
            }
            _ => Some(Node::whole()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        schema::fixture,
        transcode::{JsonOptions, Transcoder, UnknownFields},
    };

    #[test]
    fn what_is_kept_has_no_secret_and_nothing_that_could_hold_anything() {
        let proto = "message M {
            string title = 1; string password = 2; map<string, string> labels = 3; map<string, N> parts = 4;
            google.protobuf.Struct more = 5; google.protobuf.Any any = 6; bytes raw = 7; N part = 8;
        }
        message N { string text = 1; string token = 2; map<string, string> labels = 3; }";
        let plan = Transcoder::new(&fixture::pool_of(proto)).message("pkg.M").unwrap();
        let part = json!({"text": "t", "token": "s3cret", "labels": {"api_key": "s3cret", "env": "prod"}});
        let message = json!({
            "title": "t", "password": "s3cret", "labels": {"password": "s3cret", "env": "prod"},
            "parts": {"a": part, "clientSecret": part}, "more": {"a": "s3cret"},
            "any": {"@type": "type.googleapis.com/pkg.N", "text": "s3cret"}, "raw": "czNjcmV0", "part": part,
        });
        let wire = plan.to_wire(message.to_string().as_bytes(), UnknownFields::Reject).unwrap().bytes;
        let secret = ["password".to_owned(), "parts.token".to_owned(), "part.token".to_owned()];
        let keepable = plan.keepable(&secret);
        let options = JsonOptions { selection: Some(&keepable), ..JsonOptions::default() };
        let mut kept = Vec::new();
        plan.to_json(&wire, &options, &mut kept).unwrap();
        let part = json!({"text": "t", "labels": {"env": "prod"}});
        let expected = json!({"title": "t", "labels": {"env": "prod"}, "parts": {"a": part}, "part": part});
        assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), expected);
    }
}
