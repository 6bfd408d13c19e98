//! The mask of an update that comes without one: made of what the body has where a rule says so, else refused where the
//! upstream insists on it, else left to the upstream.

use super::{
    json::{Next, Reader},
    path::Path,
    populated::{PATHS_MAX, Populated, STEPS_MAX},
    query::Query,
    tables::{Op, Tables},
    wire::{self, Cursor, LEN, Malformed, put_bytes, put_tag},
};
use crate::{
    error::{Error, Result},
    schema,
};

/// The only field of a `google.protobuf.FieldMask`.
const PATHS: u32 = 1;

/// What a binding does with an update that has no mask.
#[derive(Clone, Debug)]
pub(super) struct UpdateMask {
    /// The field of the request.
    number: u32,
    json_name: Box<str>,
    /// Whether the upstream insists on it.
    required: bool,
    /// What a missing one is made of, where that is wanted.
    source: Option<Source>,
}

/// What a mask is made of.
#[derive(Clone, Debug)]
struct Source {
    /// The request.
    input: u32,
    /// Position of the field that has the resource.
    resource: u16,
    /// Fields that the template gives.
    given: Vec<Vec<u16>>,
}

/// A request that may lack its mask.
#[derive(Clone, Copy)]
pub(super) struct Unmasked<'r> {
    pub(super) tables: &'r Tables,
    pub(super) query: &'r Query<'r>,
    /// JSON that was read already, or nothing.
    pub(super) body: &'r [u8],
    /// Position of the field that the body is; `None`: it is the request.
    pub(super) field: Option<usize>,
}

impl UpdateMask {
    pub(super) fn new(
        tables: &Tables,
        input: u32,
        mask: &schema::UpdateMask,
        given: Vec<Vec<u16>>,
    ) -> Result<Self> {
        let table = tables.message(input);
        let find = |name: &str| {
            let at = table.by_name(name, usize::MAX);
            at.ok_or_else(|| Error::internal(format!("{} has no field {name} for a mask", table.name)))
        };
        let field = &table.fields[find(&mask.field)?];
        let resource = mask.resource.as_deref().filter(|_| mask.derive).map(find).transpose()?;
        let source = resource.and_then(|at| Some(Source { input, resource: u16::try_from(at).ok()?, given }));
        let json_name = field.json_name.clone();
        Ok(Self { number: field.number, json_name, required: mask.required, source })
    }

    /// Looks at a whole request in wire format, and adds the mask that it lacks.
    ///
    /// # Errors
    /// It has no mask, or one that names nothing, and the upstream insists on it, or none can be made.
    pub(super) fn complete(&self, request: &mut Vec<u8>, unmasked: Unmasked<'_>) -> Result<()> {
        if self.source.is_none() && !self.required || self.is_given(request)? {
            return Ok(());
        }
        let Some(source) = &self.source else {
            return Err(
                self.refused("is required here: give the names of the fields to change, separated by commas")
            );
        };
        let found = source.read(unmasked)?;
        if found.overflows {
            let why = format!(
                "cannot be made of a body with more than {PATHS_MAX} fields, or {STEPS_MAX} in one another: give it"
            );
            return Err(self.refused(&why));
        }
        if found.nameless {
            return Err(
                self.refused("cannot be made of a body with an extension, which no mask names: give it")
            );
        }
        if found.paths.is_empty() {
            // Without a mask some upstreams replace all there is, by nothing.
            return Err(self.refused("cannot be made of a body that changes no field: give one, or the mask"));
        }
        put_tag(request, self.number, LEN);
        let start = wire::open(request);
        for path in &found.paths {
            put_tag(request, PATHS, LEN);
            put_bytes(request, path.as_bytes());
        }
        wire::close(request, start);
        Ok(())
    }

    fn refused(&self, why: &str) -> Error {
        Error::invalid_field(&*self.json_name, why)
    }

    /// Whether the mask of a request names anything. On the wire it may be in pieces.
    fn is_given(&self, request: &[u8]) -> Result<bool, Malformed> {
        let mut cursor = Cursor::new(request);
        while !cursor.is_empty() {
            let (number, kind) = cursor.tag()?;
            if number != self.number || kind != LEN {
                cursor.skip(number, kind)?;
            } else if !cursor.bytes()?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Source {
    /// Finds the fields that a request has of its resource: those of the body, and those of the query beside it.
    fn read<'r>(&'r self, unmasked: Unmasked<'r>) -> Result<Populated<'r>> {
        let Unmasked { tables, query, body, field } = unmasked;
        let table = tables.message(self.input);
        let at = usize::from(self.resource);
        let resource = &table.fields[at];
        let mut found = Populated::new(tables, self.resource, &self.given);
        let mut reader = Reader::new(if body.trim_ascii().is_empty() { b"null" } else { body })?;
        if field == Some(at) {
            found.read(&mut reader, resource.child)?;
        } else if field.is_none() && reader.peek()? == Next::Object {
            reader.object()?;
            let mut first = true;
            while let Some(key) = reader.key(first)? {
                first = false;
                if table.by_name(&key, usize::MAX) == Some(at) {
                    found.read(&mut reader, resource.child)?;
                } else {
                    reader.skip()?;
                }
            }
        }
        for (name, text) in &query.pairs {
            // What leads nowhere was dropped, and so was a value that nobody knows.
            let Ok(path) = Path::resolve(tables, self.input, name) else { continue };
            let leaf = path.leaf(tables, self.input);
            let is_dropped = leaf.op == Op::Enum && tables.enumeration(leaf.child).of_text(text).is_none();
            if path.steps.len() > 1 && path.steps[0] == self.resource && !is_dropped {
                found.add(resource.child, &path.steps);
            }
        }
        // The same mask in whatever order it is written: a repetition is told by its bytes.
        found.paths.sort_unstable();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        schema::{Body, fixture},
        transcode::{Parsed, Transcoder, UnknownFields},
    };

    const PROTO: &str = r#"
        enum Color { NONE = 0; RED = 1; }
        message Thing {
          string name = 1; string title = 2; map<string, string> labels = 3; repeated Thing parts = 4; Thing inner = 5;
          google.protobuf.Struct extra = 6; google.protobuf.StringValue note = 7; Color color = 8; int32 max_size = 9;
          string create_time = 10 [(google.api.field_behavior) = OUTPUT_ONLY];
        }
        message Change { Thing thing = 1; google.protobuf.FieldMask update_mask = 2; bool allow_missing = 3; }
    "#;

    fn change(mask: &schema::UpdateMask, body: &Body, query: &str, json: &str) -> Result<Parsed> {
        let pool = fixture::pool_of(PROTO);
        let (transcoder, input) = (Transcoder::new(&pool), pool.find_message("pkg.Change").unwrap());
        let plan = transcoder.request(input, &["thing.name"], body).unwrap().with_mask(mask).unwrap();
        plan.to_wire(&["things/t".into()], &plan.query(query).unwrap(), json.as_bytes(), UnknownFields::Warn)
    }

    fn mask(required: bool, derive: bool) -> schema::UpdateMask {
        let (field, resource) = ("update_mask".to_owned(), Some("thing".to_owned()));
        schema::UpdateMask { field, required, derive, resource }
    }

    fn resource() -> Body {
        Body::Field("thing".to_owned())
    }

    /// The paths of the mask of a request, joined by commas.
    fn paths(parsed: &Parsed) -> String {
        let mut paths = Vec::new();
        let mut request = Cursor::new(&parsed.bytes);
        while !request.is_empty() {
            let (number, kind) = request.tag().unwrap();
            if number != 2 {
                request.skip(number, kind).unwrap();
                continue;
            }
            let mut mask = Cursor::new(request.bytes().unwrap());
            while !mask.is_empty() {
                assert_eq!(mask.tag(), Ok((1, LEN)));
                paths.push(std::str::from_utf8(mask.bytes().unwrap()).unwrap());
            }
        }
        paths.join(",")
    }

    /// The upstream was called, although the document says that it wants one.
    #[test]
    fn an_update_without_the_mask_that_is_required_is_refused() {
        for (body, query, json) in [
            (resource(), "", r#"{"title": "t"}"#),
            (resource(), "", ""),
            (resource(), "updateMask=", r#"{"title": "t"}"#),
            (resource(), "update_mask=%2C", r#"{"title": "t"}"#),
            (Body::All, "", r#"{"thing": {"title": "t"}}"#),
            (Body::All, "", r#"{"thing": {"title": "t"}, "updateMask": ""}"#),
            (Body::All, "", r#"{"thing": {"title": "t"}, "updateMask": null}"#),
        ] {
            let refused = change(&mask(true, false), &body, query, json).unwrap_err();
            assert_eq!(refused.violations()[0].field, "updateMask", "{query} {json}");
            assert_eq!(
                paths(&change(&mask(false, false), &body, query, json).unwrap()),
                "",
                "{query} {json}"
            );
        }
        for (body, query, json) in [
            (resource(), "updateMask=title", "{}"),
            (resource(), "update_mask=*", ""),
            (Body::All, "", r#"{"thing": {}, "updateMask": "title"}"#),
            (Body::All, "updateMask=title", r#"{"thing": {}, "updateMask": ""}"#),
        ] {
            assert!(change(&mask(true, false), &body, query, json).is_ok(), "{query} {json}");
        }
    }

    /// `derive_mask` did nothing.
    #[test]
    fn a_missing_mask_is_made_of_what_the_body_has() {
        for (json, expected) in [
            (r#"{"title": "t", "labels": {"a": "b"}}"#, "labels,title"),
            (r#"{"max_size": 0, "title": ""}"#, "max_size,title"),
            (
                r#"{"maxSize": 1, "inner": {"title": "t", "inner": {"maxSize": 2}}}"#,
                "inner.inner.max_size,inner.title,max_size",
            ),
            (r#"{"parts": [{"title": "t"}], "extra": {"a": 1}, "note": "n"}"#, "extra,note,parts"),
            (r#"{"parts": [], "extra": {}, "inner": {}}"#, "extra,inner,parts"),
            (r#"{"title": null, "inner": null, "labels": null}"#, "inner,labels,title"),
            // What takes no effect: the path has the name, the server the time, and nobody knows the others.
            (r#"{"name": "n", "createTime": "c", "nobody": 1, "color": "PUCE", "title": "t"}"#, "title"),
            (r#"{"inner": {"name": "n", "createTime": "c", "color": "RED"}}"#, "inner.color,inner.name"),
        ] {
            for required in [false, true] {
                let parsed = change(&mask(required, true), &resource(), "updateMask=", json).unwrap();
                assert_eq!(paths(&parsed), expected, "{json}");
                let whole = format!(r#"{{"allowMissing": true, "thing": {json}, "updateMask": null}}"#);
                let parsed = change(&mask(required, true), &Body::All, "", &whole).unwrap();
                assert_eq!(paths(&parsed), expected, "{whole}");
            }
        }
        let query = "thing.inner.title=q&thing.title=q&thing.color=PUCE&thing.labels[a]=b&thing.name=n&allowMissing=true";
        let parsed = change(&mask(false, true), &resource(), query, r#"{"title": "t"}"#).unwrap();
        assert_eq!(paths(&parsed), "inner.title,labels,title");
        // One that was given stays as it is.
        let parsed =
            change(&mask(false, true), &resource(), "updateMask=title", r#"{"maxSize": 1}"#).unwrap();
        assert_eq!(paths(&parsed), "title");
    }

    #[test]
    fn a_mask_is_not_made_of_nothing_nor_of_too_much() {
        let deep = format!("{}{}", r#"{"inner":"#.repeat(STEPS_MAX + 1), "{}") + &"}".repeat(STEPS_MAX + 1);
        for json in ["", "{}", "null", r#"{"createTime": "c"}"#, r#"{"inner": {"nobody": 1}}"#, &deep] {
            let refused = change(&mask(false, true), &resource(), "", json).unwrap_err();
            assert!(refused.message().starts_with("updateMask: cannot be made"), "{json}: {refused}");
        }
        let pool = fixture::pool_of(PROTO);
        let tables = Tables::new(&pool);
        let many: Vec<String> = (0..PATHS_MAX).map(|_| r#"{"title": ""}"#.to_owned()).collect();
        let mut found = Populated::new(&tables, 0, &[]);
        for (count, json) in many.iter().enumerate() {
            assert_eq!((found.paths.len(), found.overflows), (count, false));
            found.read(&mut Reader::of_str(json), pool.find_message("pkg.Thing").unwrap().0).unwrap();
        }
        found.read(&mut Reader::of_str(&many[0]), pool.find_message("pkg.Thing").unwrap().0).unwrap();
        assert_eq!((found.paths.len(), found.overflows), (PATHS_MAX, true));
    }
}
