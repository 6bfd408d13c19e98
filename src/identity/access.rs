//! Who may do what: which role a permission needs, and whether a principal has it where it wants to use it.

use std::collections::BTreeSet;

use super::pattern::{self, covers, meets};
use crate::{
    error::{Code, Error, Reason, Result},
    model::{Pattern, Principal, Role},
    store::Projects,
};

/// Patterns that a list across projects is narrowed to.
const GLOBS_MAX: usize = 500;

/// The last parts of permissions that move along what is there.
const OPERATING: &[&str] = &["cancel", "stop", "run", "resend", "ping", "wait"];

/// Every verb about backfills has this in it: `startBackfillJob`, `stopBackfillJob`, `backfill`.
const BACKFILL: &str = "backfill";

/// The last parts of permissions that say who may do what, or that get around what is checked: `flyte.raw`.
const ADMINISTERING: &[&str] = &["setIamPolicy", "raw"];

/// Collections of our own that tell about, or make, other principals.
const OF_ADMINS: &[&str] = &["causeway.apiKeys.", "causeway.auditEntries."];

/// Returns the least role that has a permission. `read_only` tells whether what it is for changes nothing.
pub fn role_for(permission: &str, read_only: bool) -> Role {
    let verb = permission.rsplit('.').next().unwrap_or_default();
    if ADMINISTERING.contains(&verb) || OF_ADMINS.iter().any(|prefix| permission.starts_with(prefix)) {
        Role::Admin
    } else if read_only {
        Role::Viewer
    } else if OPERATING.contains(&verb) || verb.to_ascii_lowercase().contains(BACKFILL) {
        Role::Operator
    } else {
        Role::Editor
    }
}

/// Whether a principal has a role, or more, on all of what `resource` names: a resource, everything read through `-`, or
/// everything that a pattern means.
pub fn may(principal: &Principal, role: Role, resource: &str) -> bool {
    granted(principal, role).any(|pattern| covers(pattern, resource))
}

/// Whether a principal has a role, or more, on something of what `resource` names, where a `-` stands for any of its
/// collection: then reading across it may show them something.
pub fn may_within(principal: &Principal, role: Role, resource: &str) -> bool {
    granted(principal, role).any(|pattern| meets(pattern, resource))
}

/// Whether a principal has a role, or more, on anything at all.
pub fn may_somewhere(principal: &Principal, role: Role) -> bool {
    granted(principal, role).next().is_some()
}

/// Lists the patterns on which a principal has a role, or more.
fn granted(principal: &Principal, role: Role) -> impl Iterator<Item = &Pattern> {
    principal.grants.iter().filter(move |grant| grant.role >= role).flat_map(|grant| &grant.resources)
}

/// Refuses a principal that lacks a role on a resource.
///
/// # Errors
/// `PERMISSION_DENIED`, with what is missing and nothing about whether the resource exists.
pub fn require(principal: &Principal, permission: &str, role: Role, resource: &str) -> Result<()> {
    if may(principal, role, resource) {
        return Ok(());
    }
    Err(denied(principal, permission, role, &format!("on {resource}")).with_metadata("resource", resource))
}

/// Returns the projects of which a principal may read a collection: the one that `parent` names, or, where that is
/// `projects/-`, those in which it has the role.
///
/// # Errors
/// `PERMISSION_DENIED`: it may read that of no project; `LIMIT_EXCEEDED`: of more than can be asked for at once.
pub fn projects(
    principal: &Principal,
    (permission, role): (&str, Role),
    parent: &str,
    collection: &str,
) -> Result<Projects> {
    let id = parent.strip_prefix("projects/").unwrap_or(parent);
    if id != "-" {
        require(principal, permission, role, parent)?;
        return Ok(Projects::One(id.to_owned()));
    }
    if granted(principal, role).any(Pattern::is_everything) {
        return Ok(Projects::All);
    }
    let globs: BTreeSet<&str> =
        granted(principal, role).filter_map(|granted| pattern::projects(granted, collection)).collect();
    match globs.len() {
        0 => {
            let place = format!("on {collection} of any project");
            Err(denied(principal, permission, role, &place).with_metadata("resource", parent))
        }
        1..=GLOBS_MAX => Ok(Projects::Like(globs.into_iter().map(str::to_owned).collect())),
        _ => Err(Error::limit(format!(
            "{} has grants on more than {GLOBS_MAX} patterns; name one project.",
            principal.id
        ))),
    }
}

/// Refuses a principal that has a role nowhere: for what belongs to no resource.
///
/// # Errors
/// `PERMISSION_DENIED`, with what is missing.
pub fn require_somewhere(principal: &Principal, permission: &str, role: Role) -> Result<()> {
    if may_somewhere(principal, role) {
        return Ok(());
    }
    Err(denied(principal, permission, role, "on any resource"))
}

fn denied(principal: &Principal, permission: &str, role: Role, place: &str) -> Error {
    Error::new(
        Code::PermissionDenied,
        Reason::PermissionDenied,
        format!(
            "{} may not {permission} {place}; it takes the role {} there or one that includes it.",
            principal.id,
            role.name()
        ),
    )
    .with_metadata("permission", permission)
    .with_metadata("principal", principal.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Grant, Proof};

    #[test]
    fn the_verb_decides_on_the_role() {
        for (permission, read_only, role) in [
            ("datastream.streams.get", true, Role::Viewer),
            ("bigqueryconnection.connections.getIamPolicy", true, Role::Viewer),
            ("bigqueryconnection.connections.setIamPolicy", false, Role::Admin),
            ("datastream.operations.cancel", false, Role::Operator),
            ("datastream.streams.run", false, Role::Operator),
            ("datastream.objects.startBackfillJob", false, Role::Operator),
            ("datastream.objects.stopBackfillJob", false, Role::Operator),
            ("causeway.deliveries.resend", false, Role::Operator),
            ("causeway.webhookEndpoints.ping", false, Role::Operator),
            ("datastream.streams.create", false, Role::Editor),
            ("datastream.operations.delete", false, Role::Editor),
            ("flyte.raw", false, Role::Admin),
            ("flyte.raw", true, Role::Admin),
            ("causeway.apiKeys.list", true, Role::Admin),
            ("causeway.auditEntries.list", true, Role::Admin),
            ("causeway.metrics.get", true, Role::Viewer),
        ] {
            assert_eq!(role_for(permission, read_only), role, "{permission}");
        }
    }

    #[test]
    fn a_role_holds_where_it_is_granted() {
        let grant = |role, pattern: &str| Grant { role, resources: vec![pattern.parse().unwrap()] };
        let principal = Principal {
            id: "alice".to_owned(),
            proof: Proof::None,
            grants: vec![grant(Role::Viewer, "projects/*"), grant(Role::Editor, "projects/acme-*")],
        };
        assert!(may(&principal, Role::Viewer, "projects/other"));
        assert!(may(&principal, Role::Operator, "projects/acme-1"));
        assert!(!may(&principal, Role::Operator, "projects/other"));
        assert!(!may(&principal, Role::Admin, "projects/acme-1"));
        let across = |role| projects(&principal, ("x.y.list", role), "projects/-", "y");
        let globs = |globs: &[&str]| Projects::Like(globs.iter().map(|glob| (*glob).to_owned()).collect());
        assert_eq!(across(Role::Viewer).unwrap(), globs(&["*", "acme-*"]));
        assert_eq!(across(Role::Editor).unwrap(), globs(&["acme-*"]));
        assert_eq!(across(Role::Admin).unwrap_err().reason(), Some(Reason::PermissionDenied));
        let one = projects(&principal, ("x.y.list", Role::Editor), "projects/acme-1", "y").unwrap();
        assert_eq!(one, Projects::One("acme-1".to_owned()));
        assert!(may_somewhere(&principal, Role::Editor) && !may_somewhere(&principal, Role::Admin));
        let error = require(&principal, "x.y.create", Role::Editor, "projects/other").unwrap_err();
        assert_eq!(error.reason(), Some(Reason::PermissionDenied));
        assert!(error.message().contains("editor") && error.message().contains("projects/other"));
    }
}
