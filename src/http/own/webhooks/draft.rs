//! What a body says about an endpoint.

use std::collections::BTreeMap;

use utoipa::{IntoParams, ToSchema};

use crate::{
    error::{Error, Result},
    model::EndpointState,
    transcode::Query,
    webhooks::Draft,
};

use crate::http::own::fields::Fields;

/// What can be changed, under the names of the JSON.
const CHANGEABLE: [&str; 9] = [
    "url",
    "description",
    "eventTypes",
    "upstreams",
    "kinds",
    "headers",
    "maxDeliveriesPerSecond",
    "maxConcurrentDeliveries",
    "state",
];
/// Names all of it.
const ALL: &str = "*";
/// What only we say.
const OUTPUT_ONLY: [&str; 7] =
    ["name", "headerNames", "disabledReason", "failingSince", "pausedUntil", "createTime", "updateTime"];

/// What is decided about a webhook endpoint. What was answered before may be sent back: what only we say is passed over.
#[expect(dead_code, reason = "it describes what is read field by field")]
#[derive(ToSchema)]
#[schema(as = webhooks::EndpointDraft)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointDraft {
    /// Where to deliver: https, unless the operator allows more. Required for a new endpoint.
    #[schema(nullable = false, example = "https://hooks.example.com/causeway")]
    url: Option<String>,
    /// Words for people.
    #[schema(nullable = false, max_length = 1024, example = "billing")]
    description: Option<String>,
    /// Types of events, `operation.*` and `*` among them; all that are not opt-in, if empty.
    #[schema(nullable = false, max_items = 50, example = json!(["operation.*"]))]
    event_types: Option<Vec<String>>,
    /// Only events about these upstreams, by the keys of `upstreams` in `/readyz`; all, if empty.
    #[schema(nullable = false, max_items = 50, example = json!(["datastream"]))]
    upstreams: Option<Vec<String>>,
    /// Only events about operations of these kinds, `GOOGLE_LRO`, `DATASTREAM_BACKFILL` and `FLYTE_TASK`; all, if empty.
    #[schema(nullable = false, max_items = 50, example = json!(["DATASTREAM_BACKFILL"]))]
    kinds: Option<Vec<String>>,
    /// Headers to send along, by name. Not shown again: a value is likely a credential.
    #[schema(nullable = false, example = json!({"x-token": "t"}))]
    headers: Option<BTreeMap<String, String>>,
    /// Deliveries that begin in a second, over all replicas; no limit, if null.
    #[schema(minimum = 1, maximum = 10_000, example = 50)]
    max_deliveries_per_second: Option<u32>,
    /// Deliveries under way at once, over all replicas; no limit, if null.
    #[schema(minimum = 1, maximum = 1000, example = 8)]
    max_concurrent_deliveries: Option<u32>,
    /// `ENABLED` or `DISABLED`.
    #[schema(nullable = false, example = "ENABLED")]
    state: Option<String>,
    /// What verifies our signatures: `whsec_` and the base64 of 24 to 64 random bytes. Only for a new endpoint; made for
    /// you, if left out.
    #[schema(nullable = false, write_only, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: Option<String>,
}

/// What to change.
#[expect(dead_code, reason = "it describes what is read by name")]
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct Mask {
    /// Fields to change, separated by commas. What it names and the body lacks goes back to its default, but for `state`, which
    /// stays. `*` names all: the body takes the place of what there is, except `headers`, whose values cannot be read back and
    /// stay unless it has them, `{}` for none.
    #[param(example = "description")]
    update_mask: Option<String>,
}

/// Reads an endpoint, and its secret where one may be given.
pub(super) fn read(mut fields: Fields, with_secret: bool) -> Result<(Draft, Option<String>)> {
    let draft = Draft {
        url: fields.text("url")?,
        description: fields.text("description")?,
        event_types: fields.texts("eventTypes")?,
        upstreams: fields.texts("upstreams")?,
        kinds: fields.texts("kinds")?,
        headers: fields.pairs("headers")?,
        rate: fields.number_or_none("maxDeliveriesPerSecond")?,
        concurrency: fields.number_or_none("maxConcurrentDeliveries")?,
        state: fields.text("state")?.map(|state| state_of(&state)).transpose()?,
    };
    let secret = if with_secret {
        fields.text("secret")?
    } else if fields.has("secret") {
        return Err(Error::invalid_field("secret", "cannot be changed here; use :rotateSecret"));
    } else {
        None
    };
    fields.output_only(&OUTPUT_ONLY);
    fields.finish()?;
    Ok((draft, secret))
}

fn state_of(text: &str) -> Result<EndpointState> {
    match text {
        "ENABLED" => Ok(EndpointState::Enabled),
        "DISABLED" => Ok(EndpointState::Disabled),
        _ => Err(Error::invalid_field("state", "expected ENABLED or DISABLED")),
    }
}

/// Reads the mask of a query; `None` where there is none.
pub(super) fn mask(query: &str) -> Result<Option<Vec<String>>> {
    let mut mask = None;
    for (name, value) in Query::parse(query, |name| name.starts_with("update"))?.pairs {
        match &*name {
            "updateMask" | "update_mask" => {
                let paths =
                    value.split(',').map(|path| path.trim().to_owned()).filter(|path| !path.is_empty());
                mask.get_or_insert_with(Vec::new).extend(paths);
            }
            name => return Err(Error::unknown_field(name, "expected updateMask")),
        }
    }
    let Some(paths): Option<Vec<String>> = mask else { return Ok(None) };
    if paths.iter().any(|path| path == ALL) {
        let alone = paths.len() == 1;
        let wrong = || Error::invalid_field("updateMask", "* is all of them; give it alone, or name fields");
        return alone.then_some(Some(paths)).ok_or_else(wrong);
    }
    paths.iter().map(|path| changeable(path)).collect::<Result<_>>().map(Some)
}

/// Finds the field that a path of a mask means, in camelCase or snake_case.
fn changeable(path: &str) -> Result<String> {
    let plain = |text: &str| text.replace('_', "").to_ascii_lowercase();
    let known = CHANGEABLE
        .iter()
        .find(|known| **known == path || (path.contains('_') && plain(known) == plain(path)));
    known.map(|known| (*known).to_owned()).ok_or_else(|| {
        let text = format!("no field {path:?} that can be changed; there are {}", CHANGEABLE.join(", "));
        Error::invalid_field("updateMask", text)
    })
}

/// Leaves only what a mask names; what it names and the body lacks goes back to its default. Headers stay where all is named:
/// nobody is shown their values, so whoever sends back what was answered lacks them.
pub(super) fn masked(draft: Draft, mask: &[String]) -> Result<Draft> {
    let all = mask == [ALL];
    let named = |name: &str| all || mask.iter().any(|path| path == name);
    if named("url") && draft.url.is_none() {
        return Err(Error::invalid_field("url", "is required, as updateMask names it"));
    }
    fn keep<T: Default>(named: bool, value: Option<T>) -> Option<T> {
        named.then(|| value.unwrap_or_default())
    }
    Ok(Draft {
        url: draft.url.filter(|_| named("url")),
        description: keep(named("description"), draft.description),
        event_types: keep(named("eventTypes"), draft.event_types),
        upstreams: keep(named("upstreams"), draft.upstreams),
        kinds: keep(named("kinds"), draft.kinds),
        headers: if all { draft.headers } else { keep(named("headers"), draft.headers) },
        rate: keep(named("maxDeliveriesPerSecond"), draft.rate),
        concurrency: keep(named("maxConcurrentDeliveries"), draft.concurrency),
        state: draft.state.filter(|_| named("state")),
    })
}
