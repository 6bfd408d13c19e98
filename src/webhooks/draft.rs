//! What the owner of an endpoint asks for, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Headers, event_type};
use crate::{
    crypto::Sealer,
    egress::{self, Egress, Fault, Refusal, Target},
    error::{Error, Result},
    model::{Endpoint, EndpointState, Kind},
};

/// Entries of a filter.
const FILTER_MAX: usize = 50;
/// Bytes of an entry of a filter, and of a description.
const WORD_BYTES_MAX: usize = 128;
const DESCRIPTION_BYTES_MAX: usize = 1024;
/// Deliveries in a second, and under way at once, that an endpoint can be limited to.
const RATE_MAX: u32 = 10_000;
const CONCURRENCY_MAX: u32 = 1000;
/// Why an endpoint is disabled that its owner disabled.
/// Migration 9 compares with it: changing it does not change what is kept.
const BY_OWNER: &str = "disabled by its owner";

/// What is asked for, not yet judged. What is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Where to.
    pub url: Option<String>,
    /// Words for people.
    pub description: Option<String>,
    /// Types of events.
    pub event_types: Option<Vec<String>>,
    /// Upstreams.
    pub upstreams: Option<Vec<String>>,
    /// Kinds of operations.
    pub kinds: Option<Vec<String>>,
    /// Headers to send.
    pub headers: Option<BTreeMap<String, String>>,
    /// Deliveries in a second; `Some(None)` for no limit.
    pub rate: Option<Option<u32>>,
    /// Deliveries under way at once; `Some(None)` for no limit.
    pub concurrency: Option<Option<u32>>,
    /// Whether to deliver.
    pub state: Option<EndpointState>,
}

impl Draft {
    /// Judges what is asked for and puts it in place. `known` are the upstreams that there can be events about. Returns whether
    /// how the endpoint has been says nothing any more.
    pub(super) async fn apply(
        self,
        endpoint: &mut Endpoint,
        egress: &Egress,
        sealer: &Sealer,
        known: &BTreeSet<String>,
    ) -> Result<bool> {
        let mut begins_anew = false;
        if let Some(url) = self.url {
            judge_url(&url, egress).await?;
            if self.headers.is_none() && moves(endpoint, &url) && !headers(endpoint, sealer)?.is_empty() {
                let why = "there are values that were given for another host, and they would go to this one; \
                           give headers anew with the url, or {} for none";
                return Err(Error::invalid_field("headers", why));
            }
            // What the old address did says nothing about the new one.
            begins_anew = url != endpoint.settings.url;
            endpoint.settings.url = url;
        }
        if let Some(description) = self.description {
            if description.len() > DESCRIPTION_BYTES_MAX {
                return Err(Error::invalid_field(
                    "description",
                    format!("at most {DESCRIPTION_BYTES_MAX} bytes"),
                ));
            }
            endpoint.settings.description = description;
        }
        if let Some(types) = self.event_types {
            endpoint.settings.event_types = words("eventTypes", types, |word| {
                event_type::is_pattern(word).then_some(()).ok_or_else(|| {
                    format!("no such event type: {word:?}; GET /v1/eventTypes lists them, operation.* stands for a family")
                })
            })?;
        }
        if let Some(upstreams) = self.upstreams {
            endpoint.settings.upstreams =
                words("upstreams", upstreams, |word| named(word, known.iter().map(String::as_str)))?;
        }
        if let Some(kinds) = self.kinds {
            endpoint.settings.kinds =
                words("kinds", kinds, |word| named(word, Kind::ALL.iter().map(|kind| kind.name())))?;
        }
        if let Some(headers) = self.headers {
            endpoint.headers = Headers::new(headers)?.seal(sealer, &endpoint.id)?;
        }
        if let Some(rate) = self.rate {
            endpoint.settings.rate = bounded("maxDeliveriesPerSecond", rate, RATE_MAX)?;
        }
        if let Some(concurrency) = self.concurrency {
            endpoint.settings.concurrency = bounded("maxConcurrentDeliveries", concurrency, CONCURRENCY_MAX)?;
        }
        match self.state {
            Some(EndpointState::Enabled) if endpoint.state == EndpointState::Disabled => {
                endpoint.state = EndpointState::Enabled;
                endpoint.disabled_reason = String::new();
                // The days until it is disabled again begin anew.
                begins_anew = true;
            }
            Some(EndpointState::Disabled) if endpoint.state == EndpointState::Enabled => {
                endpoint.state = EndpointState::Disabled;
                endpoint.disabled_reason = BY_OWNER.to_owned();
            }
            _ => {}
        }
        Ok(begins_anew)
    }
}

/// Whether an address is at another host than before.
fn moves(endpoint: &Endpoint, url: &str) -> bool {
    let before = egress::origin(&endpoint.settings.url);
    before.is_none() || before != egress::origin(url)
}

/// Lists the names of the headers that there are.
fn headers(endpoint: &Endpoint, sealer: &Sealer) -> Result<Vec<String>> {
    let headers = Headers::open(&endpoint.headers, sealer, &endpoint.id)?;
    Ok(headers.names().into_iter().map(str::to_owned).collect())
}

/// Refuses an address that could never be delivered to. A name that cannot be resolved now may be later.
async fn judge_url(url: &str, egress: &Egress) -> Result<()> {
    let wrong = |refusal: Refusal| {
        Error::invalid_field("url", refusal.text.clone()).with_metadata("rule", format!("{:?}", refusal.rule))
    };
    let target = Target::parse(url, egress.policy()).map_err(wrong)?;
    match egress.vet(&target).await {
        Err(Fault::Refused(refusal)) => Err(wrong(refusal)),
        _ => Ok(()),
    }
}

fn bounded(field: &str, value: Option<u32>, max: u32) -> Result<Option<u32>> {
    match value {
        Some(value) if value == 0 || value > max => {
            Err(Error::invalid_field(field, format!("expected between 1 and {max}")))
        }
        value => Ok(value),
    }
}

/// Refuses a word that nothing is called by: nobody would ever hear of anything.
fn named<'n>(word: &str, known: impl IntoIterator<Item = &'n str>) -> Result<(), String> {
    let known: Vec<&str> = known.into_iter().collect();
    if known.contains(&word) {
        return Ok(());
    }
    Err(format!("nothing is called {word:?}; there are {}", known.join(", ")))
}

fn words(field: &str, given: Vec<String>, judge: impl Fn(&str) -> Result<(), String>) -> Result<Vec<String>> {
    if given.len() > FILTER_MAX {
        return Err(Error::invalid_field(field, format!("at most {FILTER_MAX} entries")));
    }
    let mut words: Vec<String> = Vec::new();
    for (at, word) in given.into_iter().enumerate() {
        let field = format!("{field}[{at}]");
        if word.is_empty() || word.len() > WORD_BYTES_MAX {
            return Err(Error::invalid_field(field, format!("expected 1 to {WORD_BYTES_MAX} bytes")));
        }
        judge(&word).map_err(|wrong| Error::invalid_field(field, wrong))?;
        if !words.contains(&word) {
            words.push(word);
        }
    }
    Ok(words)
}
