//! Which page of a list is asked for, and the few parameters beside it.

use utoipa::IntoParams;

use crate::{
    crypto::Sealer,
    error::{Error, Result},
    store::Cursor,
    transcode::Query,
};

/// Entries on a page, unless asked for otherwise, and at most.
const SIZE: u32 = 50;
const SIZE_MAX: u32 = 500;

/// Which page.
#[expect(dead_code, reason = "it describes what is read by name")]
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct Wanted {
    /// How many at most: 50 unless said, and never more than 500.
    #[param(minimum = 0, example = 10)]
    page_size: Option<i32>,
    /// Where to go on: the token of the page before.
    page_token: Option<String>,
}

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
    pub(super) fn after(&self, sealer: &Sealer, parent: &[&str]) -> Result<String> {
        let cursor = Cursor::read(&self.token, sealer, &self.query(parent))?;
        Ok(cursor.and_then(|cursor| cursor.keys.into_iter().next()).unwrap_or_default())
    }

    /// Returns the token of the page after the one with these entries; empty behind the last.
    pub(super) fn next<T>(
        &self,
        found: &[T],
        key: impl Fn(&T) -> &String,
        sealer: &Sealer,
        parent: &[&str],
    ) -> String {
        let full = i64::try_from(found.len()).is_ok_and(|count| count == self.size);
        let last = found.last().filter(|_| full);
        let token =
            last.map(|last| Cursor { keys: vec![key(last).clone()] }.token(sealer, &self.query(parent)));
        token.unwrap_or_default()
    }

    fn query<'q>(&'q self, parent: &[&'q str]) -> Vec<&'q str> {
        parent.iter().copied().chain([self.filter.as_str()]).collect()
    }
}

/// Refuses parameters where there are none.
pub(super) fn no_parameters(query: &str) -> Result<()> {
    match Query::parse(query, |_| false)?.pairs.first() {
        Some((name, _)) => Err(Error::unknown_field(name.clone(), "this method takes no parameters")),
        None => Ok(()),
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
