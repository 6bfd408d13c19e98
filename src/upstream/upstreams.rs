//! The upstreams that the configuration names.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Upstream;
use crate::config::Upstream as Section;
use crate::error::Result;

/// All upstreams, by key.
#[derive(Clone, Debug, Default)]
pub struct Upstreams {
    by_key: BTreeMap<String, Arc<Upstream>>,
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
        Ok(Self { by_key: config.iter().map(build).collect::<Result<_>>()? })
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
