//! What the `causeway` rules say about a method.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::FieldPath,
    document::{List, OneOrMore, Rule},
    duration,
};

/// What a method can start besides operations of its own service.
const STARTED: &[&str] = &["DATASTREAM_BACKFILL"];

/// What descriptors cannot tell about a method; `None` and empty where no rule speaks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The method changes nothing although it is a POST, or changes something although it is a GET.
    pub read_only: Option<bool>,
    /// Whether the method reads a collection in pages.
    pub list: Option<ListRule>,
    /// The collection it works on.
    pub collection: Option<String>,
    /// How its pages are cached.
    pub cache: CacheRule,
    /// Where the parts of `-` come from, by the name of the path variable's collection in singular.
    pub parts: BTreeMap<String, Part>,
    /// The permission it needs, in place of the derived one.
    pub permission: Option<String>,
    /// Fields of the request that are secret beside those found by annotation and name.
    pub secret: Vec<SecretField>,
    /// Whether a PATCH without a mask gets one derived from its body.
    pub derive_mask: Option<Derive>,
    /// Type of the event that tells of what it has done, for a method that is done when it answers.
    pub tells: Option<ToldEvent>,
    /// What it starts, where its answer is no `google.longrunning.Operation`: `DATASTREAM_BACKFILL`.
    pub starts: Option<String>,
}

/// Whether missing masks are derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derive {
    /// They are.
    pub on: bool,
    /// The rule is about many methods, so one without a mask is no mistake.
    pub where_possible: bool,
}

/// The event that a rule names, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldEvent {
    /// Type of the event.
    pub event: String,
    /// File, line and selector.
    pub place: String,
}

/// A field that a rule calls secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretField {
    /// Path in the request.
    pub path: FieldPath,
    /// The rule is about many methods, so a request without this field is no mistake.
    pub where_present: bool,
}

/// Corrects what the shape of a method says about pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListRule {
    /// Not read in pages, whatever it looks like.
    Not,
    /// Read in pages; the response has one repeated field.
    Is,
    /// Read in pages; the items are in this field of the response.
    Items(String),
}

/// How the pages of a list are cached; `None` where the configuration's default holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheRule {
    /// Whether pages are cached at all.
    pub enabled: Option<bool>,
    /// How long a page is fresh.
    pub ttl: Option<Duration>,
    /// How much longer it may be served while a new one is fetched.
    pub stale: Option<Duration>,
}

/// Where the parts of `-` come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The configuration: `upstreams.x.locations`.
    Config,
    /// A list method, by its full name.
    Method(String),
    /// The upstream reads across by itself.
    Upstream,
}

impl Facts {
    /// Reads a rule; `place` is the file and the line where it stands.
    pub(super) fn read(rule: Rule, place: &str) -> Result<Self, String> {
        let parts = rule.parts.unwrap_or_default().into_iter().map(|(name, source)| match source.as_str() {
            "config" => Ok((name, Part::Config)),
            "upstream" => Ok((name, Part::Upstream)),
            method if method.contains('.') => Ok((name, Part::Method(source))),
            other => {
                Err(format!("parts.{name}: {other:?} is not \"config\", \"upstream\" or a full method name"))
            }
        });
        if let Some(text) = rule.starts.as_deref().filter(|text| !STARTED.contains(text)) {
            return Err(format!("starts: {text:?} is not one of {}", STARTED.join(", ")));
        }
        let cache = rule.cache.map(|cache| {
            Ok::<_, String>(CacheRule {
                enabled: cache.enabled,
                ttl: duration::optional("cache.ttl", cache.ttl.as_deref())?,
                stale: duration::optional("cache.stale", cache.stale.as_deref())?,
            })
        });
        if let Some(text) = rule.permission.as_deref().filter(|text| !is_permission(text)) {
            return Err(format!("permission: {text:?} is not words joined by dots"));
        }
        if let Some(text) =
            rule.collection.as_deref().filter(|text| text.contains('.') || !is_permission(text))
        {
            return Err(format!("collection: {text:?} is not one word"));
        }
        let OneOrMore(secret) = rule.secret.unwrap_or(OneOrMore(Vec::new()));
        let where_present = rule.selector.value.ends_with('*');
        let secret = secret.iter().map(|text| match text.parse() {
            Ok(path) => Ok(SecretField { path, where_present }),
            Err(why) => Err(format!("secret: {why}")),
        });
        let place = format!("{place}: {}", rule.selector.value);
        Ok(Self {
            read_only: rule.read_only,
            list: rule.list.map(|list| match list {
                List::Is(true) => ListRule::Is,
                List::Is(false) => ListRule::Not,
                List::Items(field) => ListRule::Items(field),
            }),
            collection: rule.collection,
            cache: cache.transpose()?.unwrap_or_default(),
            parts: parts.collect::<Result<_, _>>()?,
            permission: rule.permission,
            secret: secret.collect::<Result<_, String>>()?,
            derive_mask: rule.derive_mask.map(|on| Derive { on, where_possible: where_present }),
            tells: rule.tells.map(|event| ToldEvent { event, place }),
            starts: rule.starts,
        })
    }

    /// Lets another rule speak last: its keys replace those here, one by one.
    pub(super) fn overlay(&mut self, later: &Self) {
        replace(&mut self.read_only, &later.read_only);
        replace(&mut self.list, &later.list);
        replace(&mut self.collection, &later.collection);
        replace(&mut self.cache.enabled, &later.cache.enabled);
        replace(&mut self.cache.ttl, &later.cache.ttl);
        replace(&mut self.cache.stale, &later.cache.stale);
        replace(&mut self.permission, &later.permission);
        replace(&mut self.derive_mask, &later.derive_mask);
        replace(&mut self.tells, &later.tells);
        replace(&mut self.starts, &later.starts);
        self.parts.extend(later.parts.clone());
        // Secrets only ever add up: a rule for one method must not uncover what a rule for all of them hid.
        for secret in &later.secret {
            if !self.secret.contains(secret) {
                self.secret.push(secret.clone());
            }
        }
    }
}

fn replace<T: Clone>(old: &mut Option<T>, new: &Option<T>) {
    if new.is_some() {
        old.clone_from(new);
    }
}

/// Whether `text` is words of letters, digits, `_` and `-`, joined by dots.
fn is_permission(text: &str) -> bool {
    text.split('.').all(|word| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    })
}
