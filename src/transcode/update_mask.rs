//! The mask of an update that comes without one: refused where the upstream insists on it.

use super::{
    tables::Tables,
    wire::{Cursor, LEN, Malformed},
};
use crate::{
    error::{Error, Result},
    schema,
};

/// What a binding does with an update that has no mask.
#[derive(Clone, Debug)]
pub(super) struct UpdateMask {
    /// The field of the request.
    number: u32,
    json_name: Box<str>,
    /// Whether the upstream insists on it.
    required: bool,
}

impl UpdateMask {
    pub(super) fn new(tables: &Tables, input: u32, mask: &schema::UpdateMask) -> Result<Self> {
        let table = tables.message(input);
        let field = table.by_name(&mask.field, 0).map(|at| &table.fields[at]).ok_or_else(|| {
            Error::internal(format!("{} has no field {} for a mask", table.name, mask.field))
        })?;
        Ok(Self { number: field.number, json_name: field.json_name.clone(), required: mask.required })
    }

    /// Looks at a whole request.
    ///
    /// # Errors
    /// It has no mask, or one that names nothing, and the upstream insists on it.
    pub(super) fn check(&self, request: &[u8]) -> Result<()> {
        if !self.required || self.is_given(request)? {
            return Ok(());
        }
        let why = "is required here: give the names of the fields to change, separated by commas";
        Err(Error::invalid_field(&*self.json_name, why))
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

#[cfg(test)]
mod tests {
    use crate::{
        error::Result,
        schema::{self, Body, fixture},
        transcode::{Parsed, Transcoder, UnknownFields},
    };

    const PROTO: &str = r#"
        message Thing { string name = 1; string title = 2; }
        message Change { Thing thing = 1; google.protobuf.FieldMask update_mask = 2; }
    "#;

    fn change(required: bool, body: &Body, query: &str, json: &str) -> Result<Parsed> {
        let pool = fixture::pool_of(PROTO);
        let (transcoder, input) = (Transcoder::new(&pool), pool.find_message("pkg.Change").unwrap());
        let mask = schema::UpdateMask { field: "update_mask".to_owned(), required, derive: false };
        let plan = transcoder.request(input, &[], body).unwrap().with_mask(&mask).unwrap();
        plan.to_wire(&[], &plan.query(query).unwrap(), json.as_bytes(), UnknownFields::Reject)
    }

    /// The upstream was called, although the document says that it wants one.
    #[test]
    fn an_update_without_the_mask_that_is_required_is_refused() {
        let field = Body::Field("thing".to_owned());
        for (body, query, json) in [
            (&field, "", r#"{"title": "t"}"#),
            (&field, "", ""),
            (&field, "updateMask=", r#"{"title": "t"}"#),
            (&field, "update_mask=%2C", r#"{"title": "t"}"#),
            (&Body::All, "", r#"{"thing": {"title": "t"}}"#),
            (&Body::All, "", r#"{"thing": {"title": "t"}, "updateMask": ""}"#),
            (&Body::All, "", r#"{"thing": {"title": "t"}, "updateMask": null}"#),
        ] {
            let refused = change(true, body, query, json).unwrap_err();
            assert_eq!(refused.violations()[0].field, "updateMask", "{query} {json}");
            assert!(change(false, body, query, json).is_ok(), "{query} {json}");
        }
        for (body, query, json) in [
            (&field, "updateMask=title", "{}"),
            (&field, "update_mask=*", ""),
            (&Body::All, "", r#"{"thing": {}, "updateMask": "title"}"#),
            (&Body::All, "updateMask=title", r#"{"thing": {}, "updateMask": ""}"#),
        ] {
            assert!(change(true, body, query, json).is_ok(), "{query} {json}");
        }
    }
}
