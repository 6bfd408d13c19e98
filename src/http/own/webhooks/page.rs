//! Which page of a list is asked for, and the few parameters beside it.

use serde_json::{Value, json};

use crate::{
    crypto::Mac,
    error::{Error, Result},
    http::{body::Body, json},
    store::Cursor,
    transcode::Query,
};

/// Entries on a page, unless asked for otherwise, and at most.
const SIZE: u32 = 50;
const SIZE_MAX: u32 = 500;

/// A page that is asked for.
pub(super) struct Page {
    pub(super) size: i64,
    token: String,
    pub(super) filter: String,
}

impl Page {
    /// Reads a query; `filter` tells whether the list has one.
    pub(super) fn read(query: &str, filter: bool) -> Result<Self> {
        let mut page = Self { size: SIZE.into(), token: String::new(), filter: String::new() };
        for (name, value) in Query::parse(query, |name| name.starts_with("page") || name == "filter")?.pairs {
            match &*name {
                "pageSize" | "page_size" => {
                    let size: i64 = value.parse().ok().filter(|size| *size >= 0).ok_or_else(|| {
                        Error::invalid_field("pageSize", "expected a number of zero or more")
                    })?;
                    page.size = if size == 0 { SIZE.into() } else { size.min(SIZE_MAX.into()) };
                }
                "pageToken" | "page_token" => page.token = value.into_owned(),
                "filter" if filter => page.filter = value.into_owned(),
                name => {
                    let known =
                        if filter { "pageSize, pageToken and filter" } else { "pageSize and pageToken" };
                    return Err(Error::unknown_field(name, format!("expected {known}")));
                }
            }
        }
        Ok(page)
    }

    /// Returns the key of the last entry of the page before; empty for the first page.
    pub(super) fn after(&self, mac: &Mac, parent: &[&str]) -> Result<String> {
        let cursor = Cursor::read(&self.token, mac, &self.query(parent))?;
        Ok(cursor.and_then(|cursor| cursor.keys.into_iter().next()).unwrap_or_default())
    }

    /// Answers with a page; `last` is the key of its last entry.
    pub(super) fn answer(
        &self,
        collection: &str,
        shown: &[Value],
        last: Option<&str>,
        mac: &Mac,
        parent: &[&str],
    ) -> http::Response<Body> {
        let full = i64::try_from(shown.len()).is_ok_and(|count| count == self.size);
        let next = last
            .filter(|_| full)
            .map(|last| Cursor { keys: vec![last.to_owned()] }.token(mac, &self.query(parent)));
        json(&json!({collection: shown, "nextPageToken": next.unwrap_or_default()}))
    }

    fn query<'q>(&'q self, parent: &[&'q str]) -> Vec<&'q str> {
        parent.iter().copied().chain([self.filter.as_str()]).collect()
    }
}

/// Reads a filter of the form `field = "value"`, the one that our small lists have.
pub(super) fn equals(filter: &str, field: &str) -> Result<Option<String>> {
    if filter.trim().is_empty() {
        return Ok(None);
    }
    let wrong = || Error::invalid_field("filter", format!("expected {field} = \"…\""));
    let (name, value) = filter.split_once('=').ok_or_else(wrong)?;
    if name.trim() != field {
        return Err(wrong());
    }
    let value = value.trim();
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    if value.is_empty() || value.contains(['"', ' ', '=']) {
        Err(wrong())
    } else {
        Ok(Some(value.to_owned()))
    }
}
