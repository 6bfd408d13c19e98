//! The upstreams that the configuration names.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Upstream;
use crate::config::{Credentials, Upstream as Section};
use crate::error::Result;

/// All upstreams, by key.
#[derive(Clone, Debug, Default)]
pub struct Upstreams {
    by_key: BTreeMap<String, Arc<Upstream>>,
    in_background: BTreeMap<String, Arc<Upstream>>,
}

impl Upstreams {
    /// Prepares every upstream of the configuration; none is called yet. `scopes` knows the OAuth scopes of an upstream's
    /// services by its key. Must run inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// The first key whose value cannot be used, such as a `tls.ca_file` that cannot be read.
    pub fn build(config: &BTreeMap<String, Section>, scopes: impl Fn(&str) -> Vec<String>) -> Result<Self> {
        let build = |(key, section): (&String, &Section)| {
            Upstream::build(key, section, scopes(key)).map(|upstream| (key.clone(), Arc::new(upstream)))
        };
        let by_key: BTreeMap<_, _> = config.iter().map(build).collect::<Result<_>>()?;
        let mut in_background = BTreeMap::new();
        for (key, section) in config {
            let upstream = match (&section.credentials, &section.poll_credentials) {
                (Credentials::Caller, None) => continue,
                // Another link: its failures are not those of callers.
                (Credentials::Caller, Some(own)) => {
                    let section = Section { credentials: own.clone(), ..section.clone() };
                    Arc::new(Upstream::build(key, &section, scopes(key))?)
                }
                _ => by_key[key].clone(),
            };
            in_background.insert(key.clone(), upstream);
        }
        Ok(Self { by_key, in_background })
    }

    /// Finds an upstream by its key, for calls that nobody in particular asks for. There is none where calls are made with
    /// callers' credentials only.
    pub fn in_background(&self, key: &str) -> Option<&Arc<Upstream>> {
        self.in_background.get(key)
    }

    /// Finds an upstream by its key.
    pub fn get(&self, key: &str) -> Option<&Arc<Upstream>> {
        self.by_key.get(key)
    }

    /// Goes through all of them in order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Upstream>> {
        self.by_key.values()
    }
}
