//! Looking through a request for the texts by which it may say what it wants.

use std::collections::HashSet;

use super::{
    Plan,
    peek::{self, Peeked},
    tables::{Card, FieldTable, MessageTable, Op, Shape, Tables},
    wire::{Cursor, Malformed},
};
use crate::error::{Error, Result};

/// Messages within messages that are looked into: an object in a `Struct` is four of them, and JSON goes no deeper.
const DEPTH_MAX: usize = super::json::DEPTH_MAX * 4;
/// What a mask is called that chooses what an answer shows.
const READ_MASK: &str = "read_mask";
/// What asks an update to create (AIP-134): all of the resource then counts.
const ALLOW_MISSING: &str = "allow_missing";

/// What a request does with the resource that it has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// It creates it (AIP-133).
    Create,
    /// It changes it, as far as a mask says (AIP-134).
    Update,
    /// Anything else.
    Other,
}

/// What of a message takes no effect.
#[derive(Clone, Copy)]
enum Part<'m> {
    /// It is the request: the field that has its resource, if there is one, and what it says to change.
    Request(Option<u32>, Option<&'m Mask>),
    /// It is in the request. Whether it is the resource, and which of its fields count; `None`: all.
    InRequest(bool, Option<&'m HashSet<u32>>),
    /// It is any other message.
    Other,
}

/// What is to be changed.
struct Mask {
    /// The field of the request that has the resource.
    resource: u32,
    /// The fields of the resource.
    fields: HashSet<u32>,
}

impl Plan {
    /// Shows every text of a request, wherever it stands, in no certain order. Left out is what takes no effect: what the
    /// server alone sets (`OUTPUT_ONLY`), the own name of a resource that is created or changed, and what the mask of a change
    /// does not name. A mask that is not plainly about the one resource of the request is not believed.
    ///
    /// # Errors
    /// As `see` has them; the bytes are no message; [`Error::limit`]: too much in one another.
    pub fn texts<'w>(
        &self,
        wire: &'w [u8],
        intent: Intent,
        mut see: impl FnMut(&'w str) -> Result<()>,
    ) -> Result<()> {
        let mask = if intent == Intent::Update { self.mask(wire)? } else { None };
        let resource = if intent == Intent::Other { None } else { self.resource() };
        let mut walk = Walk { tables: &self.tables, see: &mut see };
        walk.message(self.index, wire, 0, Part::Request(resource, mask.as_ref()))
    }

    /// Returns the field that has the resource of a request, if it is the only one that has one.
    fn resource(&self) -> Option<u32> {
        let has_name = |field: &&FieldTable| {
            let child = is_message(field).then(|| self.tables.message(field.child));
            child.is_some_and(|child| child.fields.iter().any(|field| field.is_own_name))
        };
        let mut fields = self.tables.message(self.index).fields.iter().filter(has_name);
        let field = fields.next()?;
        fields.next().is_none().then_some(field.number)
    }

    /// Returns what the mask of an update names; `None` without one, and if all counts.
    fn mask(&self, wire: &[u8]) -> Result<Option<Mask>, Malformed> {
        let table = self.tables.message(self.index);
        let (mut names, mut creates) = (HashSet::new(), false);
        each(wire, |number, value| {
            let Some(field) = field(table, number) else { return Ok(()) };
            creates |= *field.name == *ALLOW_MISSING;
            let (true, Peeked::Bytes(paths)) = (is_mask(field), value) else { return Ok(()) };
            each(paths, |number, path| {
                let path = path.text().filter(|_| number == 1);
                names.extend(path.and_then(|path| path.split('.').next()));
                Ok(())
            })
        })?;
        if creates || names.is_empty() {
            return Ok(None);
        }
        let is_plain =
            |field: &&FieldTable| is_message(field) && self.tables.message(field.child).shape == Shape::Plain;
        // Every name is one of the resource's, and the request has no other message that they could be about.
        let mut masks = table.fields.iter().filter(is_plain).filter_map(|field| {
            let child = self.tables.message(field.child);
            let number = |name: &&str| Some(child.fields[child.by_name(name, usize::MAX)?].number);
            let fields = names.iter().map(number).collect::<Option<_>>()?;
            Some(Mask { resource: field.number, fields })
        });
        let mask = masks.next();
        Ok(mask.filter(|_| masks.next().is_none()))
    }
}

/// Whether a field has one message.
fn is_message(field: &FieldTable) -> bool {
    field.op == Op::Message && field.card == Card::Singular
}

fn is_mask(field: &FieldTable) -> bool {
    field.is_request_mask && *field.name != *READ_MASK
}

fn field(table: &MessageTable, number: u32) -> Option<&FieldTable> {
    table.by_number(number).map(|at| &table.fields[at])
}

/// Shows every field of a message.
fn each<'w, E: From<Malformed>>(
    wire: &'w [u8],
    mut see: impl FnMut(u32, Peeked<'w>) -> Result<(), E>,
) -> Result<(), E> {
    let mut cursor = Cursor::new(wire);
    while !cursor.is_empty() {
        let (number, kind) = cursor.tag()?;
        if let Some(value) = peek::read(&mut cursor, number, kind)? {
            see(number, value)?;
        }
    }
    Ok(())
}

impl<'m> Part<'m> {
    /// Whether what a field holds takes no effect.
    fn spares(self, field: &FieldTable) -> bool {
        let spared = match self {
            Self::InRequest(is_resource, counts) => {
                (is_resource && field.is_own_name)
                    || counts.is_some_and(|counts| !counts.contains(&field.number))
            }
            Self::Request(..) | Self::Other => false,
        };
        spared || field.is_output_only
    }

    /// Returns what the message in a field is.
    fn within(self, field: &FieldTable) -> Part<'m> {
        match self {
            Self::Request(resource, mask) => {
                let mask = mask.filter(|mask| mask.resource == field.number);
                Part::InRequest(resource == Some(field.number), mask.map(|mask| &mask.fields))
            }
            _ => Part::Other,
        }
    }
}

struct Walk<'a, F> {
    tables: &'a Tables,
    see: &'a mut F,
}

impl<'w, F: FnMut(&'w str) -> Result<()>> Walk<'_, F> {
    fn message(&mut self, index: u32, wire: &'w [u8], depth: usize, part: Part<'_>) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(Error::limit(format!(
                "The request has more than {DEPTH_MAX} messages in one another."
            )));
        }
        let tables = self.tables;
        let table = tables.message(index);
        // On the wire the last one wins: what a body says is outdone by the path.
        let mut singular: Vec<(u32, &str)> = Vec::new();
        let mut type_url = "";
        each(wire, |number, value| {
            let Some(field) = field(table, number) else { return Ok(()) };
            let Peeked::Bytes(bytes) = value else { return Ok(()) };
            if part.spares(field) {
                return Ok(());
            }
            match field.op {
                Op::String => {
                    let text = value.text().unwrap_or_default();
                    match singular.iter_mut().find(|(seen, _)| *seen == number) {
                        _ if field.card != Card::Singular => return (self.see)(text),
                        Some((_, before)) => *before = text,
                        None => singular.push((number, text)),
                    }
                    if table.shape == Shape::Any {
                        type_url = text;
                    }
                    Ok(())
                }
                Op::Message | Op::Group => self.message(field.child, bytes, depth + 1, part.within(field)),
                Op::Bytes if table.shape == Shape::Any => {
                    let name = type_url.rsplit('/').next().unwrap_or_default();
                    let index = tables.find(name);
                    index.map_or(Ok(()), |index| self.message(index, bytes, depth + 1, Part::Other))
                }
                _ => Ok(()),
            }
        })?;
        singular.into_iter().try_for_each(|(_, text)| (self.see)(text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        schema::fixture,
        transcode::{Transcoder, UnknownFields},
    };

    const PROTO: &str = r#"
        message Thing {
            option (google.api.resource) = { type: "example.com/Thing" pattern: "things/{thing}" };
            string name = 1;
            string title = 2;
            Source source = 3;
            string state = 4 [(google.api.field_behavior) = OUTPUT_ONLY];
            repeated string uris = 5;
            map<string, Source> sources = 6;
            google.protobuf.Any details = 7;
            google.protobuf.Struct more = 8;
            google.protobuf.StringValue wrapped = 9;
            Thing part = 10;
        }
        message Source { string from = 1; }
        message Change {
            Thing thing = 1;
            google.protobuf.FieldMask update_mask = 2;
            bool allow_missing = 3;
            Options options = 4;
            repeated Thing things = 5;
            string beside = 6;
        }
        message Options { string source = 1; }
        message Twin { Thing a = 1; Thing b = 2; google.protobuf.FieldMask update_mask = 3; }
        message Search { Thing filter = 1; google.protobuf.FieldMask read_mask = 2; }
    "#;

    /// Lists what is seen of a message, in the order of the texts.
    fn seen(message: &str, intent: Intent, body: &Value) -> Vec<String> {
        let plan = Transcoder::new(&fixture::pool_of(PROTO)).message(&format!("pkg.{message}")).unwrap();
        let wire = plan.to_wire(body.to_string().as_bytes(), UnknownFields::Reject).unwrap().bytes;
        let mut seen = Vec::new();
        plan.texts(&wire, intent, |text| {
            seen.push(text.to_owned());
            Ok(())
        })
        .unwrap();
        seen.sort();
        seen
    }

    #[test]
    fn a_text_is_seen_wherever_it_stands() {
        let thing = json!({
            "name": "n", "title": "t", "source": {"from": "a"}, "state": "set by the server", "uris": ["b", "c"],
            "sources": {"key": {"from": "d"}},
            "details": {"@type": "type.googleapis.com/pkg.Source", "from": "e"},
            "more": {"k": [{"l": "f"}]}, "wrapped": "g", "part": {"name": "own of a part"},
        });
        let all = ["a", "b", "c", "d", "e", "f", "g", "k", "key", "l", "own of a part", "t"];
        let with_url = |more: &[&str]| {
            let mut texts: Vec<_> = all.iter().chain(more).map(|text| (*text).to_owned()).collect();
            texts.push("type.googleapis.com/pkg.Source".to_owned());
            texts.sort();
            texts
        };
        let body = json!({"thing": thing});
        assert_eq!(seen("Change", Intent::Create, &body), with_url(&[]));
        assert_eq!(seen("Change", Intent::Update, &body), with_url(&[]));
        assert_eq!(seen("Change", Intent::Other, &body), with_url(&["n"]));
        let body = json!({"things": [thing]});
        assert_eq!(
            seen("Change", Intent::Create, &body),
            with_url(&["n"]),
            "of one of many the name is a wish"
        );
    }

    /// A mask that named nothing hid everything.
    #[test]
    fn a_mask_hides_only_what_it_says_of_the_resource() {
        let thing = json!({"title": "t", "source": {"from": "a"}, "uris": ["b"]});
        let change = |mask: &str| json!({"thing": thing, "updateMask": mask, "options": {"source": "o"}});
        let seen_with = |mask: &str| {
            let mut texts = seen("Change", Intent::Update, &change(mask));
            texts.retain(|text| text.len() == 1);
            texts.concat()
        };
        assert_eq!(seen_with("title"), "ot");
        assert_eq!(seen_with("source.from,uris"), "abo");
        for all in ["", "nonsense", "title,nonsense", "thing.title", "Title"] {
            assert_eq!(seen_with(all), "abot", "{all}");
        }
        let star = json!({"thing": thing, "updateMask": "*"});
        assert_eq!(seen("Change", Intent::Update, &star), ["*", "a", "b", "t"]);
        let mut missing = change("title");
        missing["allowMissing"] = json!(true);
        assert_eq!(seen("Change", Intent::Update, &missing).concat(), "abottitle");
        assert_eq!(seen("Change", Intent::Other, &change("title")).concat(), "abottitle");
        let named = json!({"name": "n", "title": "t"});
        let twin = json!({"a": named, "b": named, "updateMask": "title"});
        assert_eq!(seen("Twin", Intent::Update, &twin).concat(), "nntttitle", "which one is the resource?");
        let search = json!({"filter": thing, "readMask": "title"});
        assert_eq!(seen("Search", Intent::Update, &search).concat(), "abttitle");
    }

    #[test]
    fn what_json_can_say_is_looked_at_however_deep() {
        let deep = (0..45).fold(json!("at the bottom"), |inner, _| json!({"in": inner}));
        let body = json!({"thing": {"more": deep}});
        assert!(seen("Change", Intent::Create, &body).contains(&"at the bottom".to_owned()));
    }

    /// Of each of many fields all of a long mask was gone through.
    #[test]
    fn a_long_mask_costs_no_more_than_its_length() {
        let paths = vec!["title"; 100_000].join(",");
        let body = json!({"thing": {"title": "t", "uris": vec![""; 100_000]}, "updateMask": paths});
        assert_eq!(seen("Change", Intent::Update, &body).len(), 100_001);
    }
}
