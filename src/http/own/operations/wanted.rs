//! What a list of operations is asked for with, and its pages.

use super::LIST;
use crate::{
    error::{Error, Result},
    http::Server,
    identity::access,
    model::{Operation, OperationId, Principal},
    operations::filter,
    store::{Cursor, operations::Page},
    transcode::Query,
};

/// Operations on a page, unless asked for otherwise, and at most.
const PAGE_SIZE: u32 = 50;
const PAGE_SIZE_MAX: u32 = 1000;
/// What somebody wants to see.
pub(super) struct Wanted {
    pub(super) parent: String,
    pub(super) filter: String,
    pub(super) order: &'static str,
    pub(super) page: Page,
}

impl Wanted {
    fn token_query<'a>(&'a self, principal: &'a str) -> [&'a str; 5] {
        ["operations", &self.parent, &self.filter, self.order, principal]
    }
}

/// Returns a page of what a principal may see, and the token of the next one.
pub(in crate::http::own) async fn page(
    server: &Server,
    principal: &Principal,
    parent: &str,
    parameters: Parameters,
) -> Result<(Vec<Operation>, String)> {
    let token = parameters.page_token.clone();
    let mut wanted = wanted(principal, parent.to_owned(), parameters)?;
    let cursor = Cursor::read(&token, &server.audit.tokens, &wanted.token_query(&principal.id))?;
    wanted.page.after = cursor.and_then(|cursor| OperationId::parse(cursor.keys.first()?));
    let shown_max = wanted.page.rows_max as usize;
    // One more than is shown tells whether there are more.
    wanted.page.rows_max += 1;
    let mut found = server.operations.list(&wanted.page).await?;
    let more = found.len() > shown_max;
    found.truncate(shown_max);
    let next = found.last().filter(|_| more).map_or_else(String::new, |last| {
        let cursor = Cursor { keys: vec![last.id.to_string()] };
        cursor.token(&server.audit.tokens, &wanted.token_query(&principal.id))
    });
    Ok((found, next))
}

/// What a list is asked for with.
#[derive(Clone, Debug, Default)]
pub(in crate::http::own) struct Parameters {
    pub(in crate::http::own) filter: String,
    pub(in crate::http::own) order: String,
    pub(in crate::http::own) page_size: i32,
    pub(in crate::http::own) page_token: String,
}

/// Reads the parameters of a list; `paged` tells whether it has pages.
pub(super) fn parameters(query: &str, paged: bool) -> Result<Parameters> {
    let mut read = Parameters::default();
    for (name, value) in Query::parse(query, |_| false)?.pairs {
        match &*name {
            "filter" => read.filter = value.into_owned(),
            "orderBy" | "order_by" => read.order = value.into_owned(),
            "pageToken" | "page_token" if paged => read.page_token = value.into_owned(),
            "pageSize" | "page_size" if paged => {
                read.page_size =
                    value.parse().map_err(|_| Error::invalid_field("pageSize", "expected a number"))?;
            }
            // All of our records are in one place.
            "returnPartialSuccess" | "return_partial_success" => {}
            other => return Err(Error::unknown_field(other, "there is no such parameter here")),
        }
    }
    Ok(read)
}

/// Works out what a principal wants to see, of what it may.
pub(super) fn wanted(principal: &Principal, parent: String, parameters: Parameters) -> Result<Wanted> {
    let projects = access::projects(principal, LIST, &parent, "operations")?;
    let order = match parameters.order.trim() {
        "" | "createTime desc" | "create_time desc" => "createTime desc",
        "createTime" | "create_time" | "createTime asc" | "create_time asc" => "createTime",
        _ => return Err(Error::invalid_field("orderBy", "expected createTime or createTime desc")),
    };
    let rows_max = match u32::try_from(parameters.page_size) {
        Ok(0) => PAGE_SIZE,
        Ok(size) => size.min(PAGE_SIZE_MAX),
        Err(_) => return Err(Error::invalid_field("pageSize", "must not be negative")),
    };
    let page = Page {
        projects,
        conditions: filter::parse(&parameters.filter)?,
        ascending: order == "createTime",
        after: None,
        rows_max,
    };
    Ok(Wanted { parent, filter: parameters.filter, order, page })
}
