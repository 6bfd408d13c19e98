//! The YAML as it is written.

use std::collections::BTreeMap;

use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

use super::{PollHints, duration};

/// The parts of `google.api.Service` that are read; the others are skipped.
#[derive(Deserialize)]
pub(super) struct Document {
    #[serde(rename = "type")]
    pub(super) kind: Option<Spanned<String>>,
    pub(super) name: Option<String>,
    pub(super) apis: Option<Vec<Api>>,
    pub(super) http: Option<Http>,
    pub(super) publishing: Option<Publishing>,
    pub(super) causeway: Option<Causeway>,
}

#[derive(Deserialize)]
pub(super) struct Api {
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct Http {
    pub(super) rules: Option<Vec<HttpRule>>,
}

/// `google.api.HttpRule`: a rule, or one of its additional bindings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpRule {
    pub(super) selector: Option<Spanned<String>>,
    pub(super) get: Option<String>,
    pub(super) put: Option<String>,
    pub(super) post: Option<String>,
    pub(super) delete: Option<String>,
    pub(super) patch: Option<String>,
    pub(super) custom: Option<Custom>,
    pub(super) body: Option<String>,
    #[serde(alias = "responseBody")]
    pub(super) response_body: Option<String>,
    #[serde(alias = "additionalBindings")]
    pub(super) additional_bindings: Option<Vec<HttpRule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Custom {
    pub(super) kind: String,
    pub(super) path: String,
}

#[derive(Deserialize)]
pub(super) struct Publishing {
    #[serde(alias = "methodSettings")]
    pub(super) method_settings: Option<Vec<MethodSettings>>,
}

#[derive(Deserialize)]
pub(super) struct MethodSettings {
    pub(super) selector: Spanned<String>,
    #[serde(alias = "longRunning")]
    pub(super) long_running: Option<LongRunning>,
}

#[derive(Deserialize)]
pub(super) struct LongRunning {
    #[serde(alias = "initialPollDelay")]
    initial_poll_delay: Option<String>,
    #[serde(alias = "pollDelayMultiplier")]
    poll_delay_multiplier: Option<f64>,
    #[serde(alias = "maxPollDelay")]
    max_poll_delay: Option<String>,
    #[serde(alias = "totalPollTimeout")]
    total_poll_timeout: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Causeway {
    pub(super) rules: Option<Vec<Rule>>,
}

/// One entry of `causeway.rules`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) selector: Spanned<String>,
    pub(super) read_only: Option<bool>,
    pub(super) list: Option<List>,
    pub(super) collection: Option<String>,
    pub(super) cache: Option<Cache>,
    pub(super) parts: Option<BTreeMap<String, String>>,
    pub(super) permission: Option<String>,
    pub(super) secret: Option<OneOrMore>,
    pub(super) derive_mask: Option<bool>,
    pub(super) tells: Option<String>,
    pub(super) starts: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cache {
    pub(super) enabled: Option<bool>,
    pub(super) ttl: Option<String>,
    pub(super) stale: Option<String>,
}

/// `true`, `false`, or the name of the field with the items.
pub(super) enum List {
    Is(bool),
    Items(String),
}

/// `a` or `[a, b]`.
pub(super) struct OneOrMore(pub(super) Vec<String>);

impl LongRunning {
    pub(super) fn hints(&self) -> Result<PollHints, String> {
        if self.poll_delay_multiplier.is_some_and(|factor| !(1.0..=100.0).contains(&factor)) {
            return Err("poll_delay_multiplier is from 1 to 100".to_owned());
        }
        Ok(PollHints {
            initial_poll_delay: duration::optional("initial_poll_delay", self.initial_poll_delay.as_deref())?,
            poll_delay_multiplier: self.poll_delay_multiplier,
            max_poll_delay: duration::optional("max_poll_delay", self.max_poll_delay.as_deref())?,
            total_poll_timeout: duration::optional("total_poll_timeout", self.total_poll_timeout.as_deref())?,
        })
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = List;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or the name of the field with the items")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<List, E> {
                Ok(List::Is(value))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<List, E> {
                Ok(List::Items(value.to_owned()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = OneOrMore;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a field path or a list of them")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<OneOrMore, E> {
                Ok(OneOrMore(vec![value.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMore, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(OneOrMore(values))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
