//! Path, query and body of one request, bound to one message in wire format.

use std::{borrow::Cow, collections::HashMap, ops::Range, sync::Arc};

use super::{
    Plan,
    json::Reader,
    parse::{Parser, UnknownFields},
    path::{self, Path},
    query::Query,
    required,
    tables::{Card, FieldTable, NO_ONEOF, Op, Shape, Tables},
    update_mask::{Unmasked, UpdateMask},
    wanted::Wanted,
    wire::{self, LEN, put_tag},
};
use crate::{
    error::{Error, Result},
    schema::{self, MessageId},
};

/// How requests to one binding become messages. Made once, at start.
#[derive(Clone, Debug)]
pub struct RequestPlan {
    tables: Arc<Tables>,
    input: u32,
    variables: Vec<Variable>,
    body: Body,
    /// The body is a `google.api.HttpBody`: bytes, not JSON.
    raw: bool,
    /// Of an update.
    mask: Option<UpdateMask>,
}

/// A variable of the template.
#[derive(Clone, Debug)]
struct Variable {
    name: String,
    steps: Vec<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    None,
    All,
    /// Position of a field of the request.
    Field(usize),
}

/// A request in wire format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The message.
    pub bytes: Vec<u8>,
    /// Paths of what was dropped because nobody knows it.
    pub ignored: Vec<String>,
}

impl RequestPlan {
    pub(super) fn new(
        tables: &Arc<Tables>,
        input: MessageId,
        variables: &[&str],
        body: &schema::Body,
    ) -> Result<Self> {
        let input = input.0;
        let table = tables.message(input);
        let body =
            match body {
                schema::Body::None => Body::None,
                schema::Body::All => Body::All,
                schema::Body::Field(name) => Body::Field(table.by_name(name, 0).ok_or_else(|| {
                    Error::internal(format!("{} has no field {name} for a body", table.name))
                })?),
            };
        let variables = variables.iter().map(|name| {
            let path = Path::resolve(tables, input, name)?;
            Ok(Variable { name: (*name).to_owned(), steps: path.steps })
        });
        let http_body = |index: u32| &*tables.message(index).name == "google.api.HttpBody";
        let raw = match body {
            Body::None => false,
            Body::All => http_body(input),
            Body::Field(at) => table.fields[at].op == Op::Message && http_body(table.fields[at].child),
        };
        Ok(Self {
            tables: Arc::clone(tables),
            input,
            variables: variables.collect::<Result<_>>()?,
            body,
            raw,
            mask: None,
        })
    }

    /// Makes it look after the mask of the update that its requests are.
    ///
    /// # Errors
    /// The message has no such field.
    pub fn with_mask(mut self, mask: &schema::UpdateMask) -> Result<Self> {
        let given = self.variables.iter().map(|variable| variable.steps.clone()).collect();
        self.mask = Some(UpdateMask::new(&self.tables, self.input, mask, given)?);
        Ok(self)
    }

    /// Decodes a query string and takes out what speaks to the gateway.
    ///
    /// # Errors
    /// See [`Query::parse`].
    pub fn query<'q>(&self, raw: &'q str) -> Result<Query<'q>> {
        let table = self.tables.message(self.input);
        Query::parse(raw, |name| table.by_name(name, usize::MAX).is_some())
    }

    /// Whether the body is bytes of any kind rather than JSON.
    pub fn raw_body(&self) -> bool {
        self.raw
    }

    /// Binds a request. `captures` are the values of the template's variables, in its order.
    ///
    /// What is given in several places is taken from the path, else from the body, else from the query. An update without a
    /// mask gets one where its method says so.
    ///
    /// # Errors
    /// Everything that is wrong with the request by the descriptor of its message, with the path of the field.
    pub fn to_wire(
        &self,
        captures: &[Cow<'_, str>],
        query: &Query<'_>,
        body: &[u8],
        unknown: UnknownFields,
    ) -> Result<Parsed> {
        let mut content = Vec::with_capacity(body.len() + 64);
        let mut ignored = Vec::new();
        if !is_blank(body) {
            let mut parser = Parser::new(&self.tables, Reader::new(body)?, unknown);
            match self.body {
                Body::None => self.no_body(body, unknown, &mut ignored)?,
                Body::All => parser.root(self.input, &mut content)?,
                Body::Field(at) => {
                    let field = &self.tables.message(self.input).fields[at];
                    // Node's google-gax writes an empty message as `""`. What may be a text is one.
                    let has_fields =
                        || field.op == Op::Message && self.tables.message(field.child).shape == Shape::Plain;
                    if body.trim_ascii() == b"\"\"" && has_fields() {
                        parser = Parser::new(&self.tables, Reader::new(b"{}")?, unknown);
                    }
                    parser.root_field(field, &mut content)?;
                }
            }
            if self.body != Body::None {
                ignored = parser.finish()?;
            }
        }
        let mut parsed = self.merge(captures, query, content, ignored, unknown)?;
        if let Some(mask) = &self.mask {
            let (body, field) = match self.body {
                Body::None => (&b""[..], None),
                Body::All => (body, None),
                Body::Field(at) => (body, Some(at)),
            };
            let unmasked = Unmasked { tables: &self.tables, query, body, field };
            mask.complete(&mut parsed.bytes, unmasked)?;
        }
        Ok(parsed)
    }

    /// A method without a body accepts what says nothing: clients send `{}` or `null` where they need not, and fields that the
    /// path gives, as where a body is taken: the path wins. What the message has, and a body cannot give here, is refused
    /// whatever becomes of fields that nobody knows: without its `validate_only` a request does what it was only to try.
    fn no_body(&self, body: &[u8], unknown: UnknownFields, ignored: &mut Vec<String>) -> Result<()> {
        let mut reader = Reader::new(body)?;
        let nothing = self.says_nothing(&mut reader, unknown, ignored);
        if nothing.is_ok_and(|nothing| nothing) && reader.end().is_ok() {
            return Ok(());
        }
        Err(Error::invalid_field(
            "body",
            "This method takes no body; send none, or {}, and give parameters in the query.",
        ))
    }

    fn says_nothing(
        &self,
        reader: &mut Reader<'_>,
        unknown: UnknownFields,
        ignored: &mut Vec<String>,
    ) -> Result<bool> {
        if reader.peek_byte() == Some(b'n') {
            return reader.literal("null").map(|()| true);
        }
        let table = self.tables.message(self.input);
        reader.object()?;
        let mut seen = Vec::new();
        let mut first = true;
        while let Some(key) = reader.key(std::mem::take(&mut first))? {
            let at = table.by_name(&key, usize::MAX);
            if at.is_none() && unknown != UnknownFields::Reject {
                ignore(&key, ignored);
                reader.skip()?;
                continue;
            }
            let at = at
                .filter(|at| self.variables.iter().any(|variable| variable.steps.iter().eq([&(*at as u16)])));
            let Some(at) = at.filter(|at| !seen.contains(at)) else { return Ok(false) };
            seen.push(at);
            reader.string()?;
        }
        Ok(true)
    }

    /// Binds a request whose body is bytes.
    ///
    /// # Errors
    /// As [`RequestPlan::to_wire`].
    pub fn to_wire_raw(
        &self,
        captures: &[Cow<'_, str>],
        query: &Query<'_>,
        content_type: &str,
        data: &[u8],
    ) -> Result<Parsed> {
        let mut content = Vec::with_capacity(data.len() + content_type.len() + 32);
        match self.body {
            Body::Field(at) => {
                let field = &self.tables.message(self.input).fields[at];
                put_tag(&mut content, field.number, LEN);
                let start = wire::open(&mut content);
                path::put_http_body(content_type, data, &mut content);
                wire::close(&mut content, start);
            }
            Body::All | Body::None => path::put_http_body(content_type, data, &mut content),
        }
        self.merge(captures, query, content, Vec::new(), UnknownFields::Reject)
    }

    /// Writes the query before the body and the path behind it: on the wire the last one wins.
    fn merge(
        &self,
        captures: &[Cow<'_, str>],
        query: &Query<'_>,
        content: Vec<u8>,
        mut ignored: Vec<String>,
        unknown: UnknownFields,
    ) -> Result<Parsed> {
        let mut bytes = if query.pairs.is_empty() {
            content
        } else {
            let mut bytes = self.query_bytes(query, &content, unknown, &mut ignored)?;
            bytes.extend_from_slice(&content);
            bytes
        };
        for (variable, text) in self.variables.iter().zip(captures) {
            path::put(&self.tables, self.input, &variable.steps, None, text, &mut bytes)
                .map_err(|why| Error::invalid_field(&*variable.name, why))?;
        }
        required::require(&self.tables, self.input, &bytes)?;
        Ok(Parsed { bytes, ignored })
    }

    fn query_bytes(
        &self,
        query: &Query<'_>,
        body: &[u8],
        unknown: UnknownFields,
        ignored: &mut Vec<String>,
    ) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(64);
        let mut given = Given::default();
        // Lists and maps, each with its path: where its bytes begin and end.
        let mut lists: Vec<(Vec<u16>, Range<usize>)> = Vec::new();
        for (name, text) in &query.pairs {
            let path = match Path::resolve(&self.tables, self.input, name) {
                Ok(path) => path,
                Err(error) if unknown == UnknownFields::Reject || !is_unknown(&error) => return Err(error),
                Err(_) => {
                    ignore(name, ignored);
                    continue;
                }
            };
            let leaf = path.leaf(&self.tables, self.input);
            given.check(&self.tables, self.input, &path, leaf, name)?;
            let before = bytes.len();
            match path::put(&self.tables, self.input, &path.steps, path.key, text, &mut bytes) {
                Ok(()) if leaf.card != Card::Singular => lists.push((path.steps, before..bytes.len())),
                Ok(()) => {}
                Err(_) if leaf.op == Op::Enum && unknown != UnknownFields::Reject => {
                    bytes.truncate(before);
                    ignore(name, ignored);
                }
                Err(why) => return Err(Error::invalid_field(&**name, why)),
            }
        }
        self.drop_replaced(&lists, body, &mut bytes);
        Ok(bytes)
    }

    /// Takes the lists out of the query that the body gives too: those of the body replace them, and on the wire both
    /// would be joined. The body is read once, however many there are.
    fn drop_replaced(&self, lists: &[(Vec<u16>, Range<usize>)], body: &[u8], bytes: &mut Vec<u8>) {
        if lists.is_empty() || body.is_empty() {
            return;
        }
        let mut wanted = Wanted::default();
        for (steps, _) in lists {
            wanted.add(steps);
        }
        wanted.look(&self.tables, self.input, body);
        let (mut kept, mut from) = (Vec::with_capacity(bytes.len()), 0);
        for (_, range) in lists.iter().filter(|(steps, _)| wanted.found(steps)) {
            kept.extend_from_slice(&bytes[from..range.start]);
            from = range.end;
        }
        kept.extend_from_slice(&bytes[from..]);
        *bytes = kept;
    }

    /// Returns the plan of the request message itself.
    pub fn message(&self) -> Plan {
        Plan::of(&self.tables, self.input)
    }
}

/// Which fields a query has given: each value once, and one member of each oneof.
#[derive(Default)]
struct Given<'n> {
    paths: Vec<Path<'n>>,
    oneofs: HashMap<(Vec<u16>, u16), u16>,
}

impl<'n> Given<'n> {
    fn check(
        &mut self,
        tables: &Tables,
        input: u32,
        path: &Path<'n>,
        leaf: &FieldTable,
        name: &str,
    ) -> Result<()> {
        if leaf.card != Card::Repeated {
            if self.paths.contains(path) {
                return Err(Error::invalid_field(name, "is given twice"));
            }
            self.paths.push(path.clone());
        }
        let mut at = input;
        for (depth, step) in path.steps.iter().enumerate() {
            let field = &tables.message(at).fields[usize::from(*step)];
            at = field.child;
            if field.oneof == NO_ONEOF {
                continue;
            }
            let member = self.oneofs.entry((path.steps[..depth].to_vec(), field.oneof)).or_insert(*step);
            if *member != *step {
                return Err(Error::invalid_field(
                    name,
                    "another field of the same oneof is given too; choose one",
                ));
            }
        }
        Ok(())
    }
}

/// Notes what was dropped.
fn ignore(name: &str, ignored: &mut Vec<String>) {
    if ignored.len() < super::parse::IGNORED_MAX {
        ignored.push(name.chars().take(80).collect());
    }
}

fn is_unknown(error: &Error) -> bool {
    error.reason() == Some(crate::error::Reason::UnknownField)
}

fn is_blank(body: &[u8]) -> bool {
    body.iter().all(u8::is_ascii_whitespace)
}
