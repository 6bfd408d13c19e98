//! What a body says about an endpoint.

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
/// What only we say.
const OUTPUT_ONLY: [&str; 7] =
    ["name", "headerNames", "disabledReason", "failingSince", "pausedUntil", "createTime", "updateTime"];

/// Reads an endpoint, and its secret where one may be given.
pub(super) fn read(mut fields: Fields, with_secret: bool) -> Result<(Draft, Option<String>)> {
    let draft = Draft {
        url: fields.text("url")?,
        description: fields.text("description")?,
        event_types: fields.texts("eventTypes")?,
        upstreams: fields.texts("upstreams")?,
        kinds: fields.texts("kinds")?,
        headers: fields.pairs("headers")?,
        rate: fields
            .has("maxDeliveriesPerSecond")
            .then(|| fields.number("maxDeliveriesPerSecond"))
            .transpose()?,
        concurrency: fields
            .has("maxConcurrentDeliveries")
            .then(|| fields.number("maxConcurrentDeliveries"))
            .transpose()?,
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
    mask.map(|paths: Vec<String>| paths.iter().map(|path| changeable(path)).collect()).transpose()
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

/// Leaves only what a mask names; what it names and the body lacks goes back to its default.
pub(super) fn masked(draft: Draft, mask: &[String]) -> Result<Draft> {
    let named = |name: &str| mask.iter().any(|path| path == name);
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
        headers: keep(named("headers"), draft.headers),
        rate: keep(named("maxDeliveriesPerSecond"), draft.rate),
        concurrency: keep(named("maxConcurrentDeliveries"), draft.concurrency),
        state: draft.state.filter(|_| named("state")),
    })
}
