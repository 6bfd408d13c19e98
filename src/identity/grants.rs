//! The roles that the configuration gives.

use crate::{
    config,
    model::{Grant, Role},
};

/// Grants by principal.
#[derive(Debug, Default)]
pub(super) struct Grants(Vec<(String, Grant)>);

impl Grants {
    /// Reads the grants; the configuration has checked their patterns.
    pub(super) fn new(configured: &[config::Grant]) -> Self {
        let grants = configured.iter().map(|grant| {
            let resources = grant.resources.iter().filter_map(|pattern| pattern.parse().ok()).collect();
            (grant.principal.clone(), Grant { role: role(grant.role), resources })
        });
        Self(grants.collect())
    }

    /// Returns what a principal is granted; a `*` at the end of a grant's principal stands for any rest.
    pub(super) fn of(&self, principal: &str) -> Vec<Grant> {
        let is = |named: &str| match named.strip_suffix('*') {
            Some(start) => principal.starts_with(start),
            None => principal == named,
        };
        self.0.iter().filter(|(named, _)| is(named)).map(|(_, grant)| grant.clone()).collect()
    }
}

fn role(configured: config::Role) -> Role {
    match configured {
        config::Role::Viewer => Role::Viewer,
        config::Role::Operator => Role::Operator,
        config::Role::Editor => Role::Editor,
        config::Role::Admin => Role::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_found_by_name_or_beginning() {
        let grant = |principal: &str, role| config::Grant {
            principal: principal.to_owned(),
            role,
            resources: vec!["projects/acme-*".to_owned()],
        };
        let grants = Grants::new(&[
            grant("alice", config::Role::Viewer),
            grant("corp:*", config::Role::Operator),
            grant("corp:bob", config::Role::Admin),
        ]);
        let roles = |name: &str| grants.of(name).iter().map(|grant| grant.role).collect::<Vec<_>>();
        assert_eq!(roles("alice"), [Role::Viewer]);
        assert_eq!(roles("alice2"), []);
        assert_eq!(roles("corp:bob"), [Role::Operator, Role::Admin]);
        assert_eq!(roles("corp"), []);
    }
}
