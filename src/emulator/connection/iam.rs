//! Who may use a connection: policies with etags, and the test of permissions.

use prost::Message as _;
use tonic::{Code, Status};

use super::{
    super::{
        hash,
        limits::{EMULATOR_PERMISSIONS_MAX, EMULATOR_POLICY_BYTES_MAX},
        status::Refusal,
    },
    Connections, DOMAIN, check,
    store::missing,
};
use crate::pb::google::iam::v1::{
    GetIamPolicyRequest, Policy, SetIamPolicyRequest, TestIamPermissionsRequest, TestIamPermissionsResponse,
};

/// The etag of a policy that was never set.
const NO_POLICY: &[u8] = &[0x00, 0x20, 0x01];
/// The format that conditions need.
const CONDITIONS: i32 = 3;
/// What a caller of the emulator may do with a connection.
const HELD: [&str; 7] = ["delegate", "delete", "get", "getIamPolicy", "setIamPolicy", "update", "use"];
/// What exists besides: rights on a project, which no connection grants.
const ELSEWHERE: [&str; 2] = ["create", "list"];

impl Connections {
    pub(super) fn get_policy(&self, request: &GetIamPolicyRequest) -> Result<Policy, Status> {
        check::name("resource", &request.resource)?;
        let version = request.options.as_ref().map_or(0, |options| options.requested_policy_version);
        if !matches!(version, 0 | 1 | CONDITIONS) {
            return Err(Refusal::invalid("Invalid policy version")
                .field("options.requested_policy_version", "must be 0, 1 or 3")
                .status());
        }
        let state = self.lock();
        let held = state.held.get(&request.resource).ok_or_else(|| missing(&request.resource))?;
        let policy = held.policy.clone().unwrap_or_else(empty);
        Ok(if version < CONDITIONS { without_conditions(policy) } else { policy })
    }

    pub(super) fn set_policy(&self, request: SetIamPolicyRequest) -> Result<Policy, Status> {
        let SetIamPolicyRequest { resource, policy, update_mask } = request;
        check::name("resource", &resource)?;
        let Some(new) = policy else {
            return Err(Refusal::invalid("Invalid request").field("policy", "is required").status());
        };
        check_policy(&new)?;
        let mut state = self.lock();
        let fresh = state.rng.u64(..).to_be_bytes();
        let held = state.held.get_mut(&resource).ok_or_else(|| missing(&resource))?;
        let current = held.policy.clone().unwrap_or_else(empty);
        if !new.etag.is_empty() && new.etag != current.etag {
            let advice = "The policy was changed by somebody else. Read it again, repeat the change and set it once more.";
            return Err(Refusal::new(Code::Aborted, advice)
                .info("ETAG_MISMATCH", DOMAIN, &[("resource", &resource)])
                .status());
        }
        let mut set = merge(current, new, update_mask.map(|mask| mask.paths))?;
        // The lead byte makes the base64 form hold `/` or `+` more often than not, as etags do.
        set.etag = [&[0xff][..], &fresh].concat().into();
        held.policy = Some(set.clone());
        Ok(set)
    }

    /// A connection that does not exist grants nothing, and is not an error.
    pub(super) fn test_permissions(
        &self,
        request: TestIamPermissionsRequest,
    ) -> Result<TestIamPermissionsResponse, Status> {
        let TestIamPermissionsRequest { resource, mut permissions } = request;
        check::name("resource", &resource)?;
        if permissions.len() > EMULATOR_PERMISSIONS_MAX {
            let most = format!("at most {EMULATOR_PERMISSIONS_MAX}");
            return Err(Refusal::invalid("Too many permissions").field("permissions", most).status());
        }
        let mut refusal = Refusal::invalid("Invalid permission");
        for (index, permission) in permissions.iter().enumerate() {
            let verb = verb(permission).unwrap_or_default();
            if !HELD.contains(&verb) && !ELSEWHERE.contains(&verb) {
                refusal = refusal.field(format!("permissions[{index}]"), "is not valid for this resource");
            }
        }
        if refusal.has_fields() {
            return Err(refusal.status());
        }
        let exists = self.lock().held.contains_key(&resource);
        permissions.retain(|permission| exists && verb(permission).is_some_and(|verb| HELD.contains(&verb)));
        Ok(TestIamPermissionsResponse { permissions })
    }
}

fn verb(permission: &str) -> Option<&str> {
    permission.strip_prefix("bigquery.connections.")
}

fn empty() -> Policy {
    Policy { etag: NO_POLICY.into(), ..Default::default() }
}

fn check_policy(policy: &Policy) -> Result<(), Status> {
    let mut refusal = Refusal::invalid("Invalid policy");
    if policy.encoded_len() > EMULATOR_POLICY_BYTES_MAX {
        let most = format!("is larger than {EMULATOR_POLICY_BYTES_MAX} bytes");
        return Err(refusal.field("policy", most).status());
    }
    if !matches!(policy.version, 0 | 1 | CONDITIONS) {
        refusal = refusal.field("policy.version", "must be 0, 1 or 3");
    }
    for (index, binding) in policy.bindings.iter().enumerate() {
        let at = format!("policy.bindings[{index}]");
        if !is_role(&binding.role) {
            refusal =
                refusal.field(format!("{at}.role"), "must be roles/*, or */*/roles/* for a custom role");
        }
        if binding.condition.is_some() && policy.version != CONDITIONS {
            refusal = refusal.field(format!("{at}.condition"), "needs policy version 3");
        }
        for (member, text) in binding.members.iter().enumerate() {
            if !is_member(text) {
                let shape =
                    "must be allUsers, allAuthenticatedUsers, or a kind and a name: user:ann@example.com";
                refusal = refusal.field(format!("{at}.members[{member}]"), shape);
            }
        }
    }
    if refusal.has_fields() { Err(refusal.status()) } else { Ok(()) }
}

fn is_role(role: &str) -> bool {
    let role = match role.split_once("/roles/") {
        Some((owner, role)) if owner.starts_with("projects/") || owner.starts_with("organizations/") => role,
        _ => role.strip_prefix("roles/").unwrap_or_default(),
    };
    !role.is_empty() && !role.contains('/')
}

fn is_member(member: &str) -> bool {
    matches!(member, "allUsers" | "allAuthenticatedUsers")
        || member.split_once(':').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty())
}

/// Replaces what the mask names; without one that is bindings and etag. Etag and version always follow the new policy.
fn merge(mut current: Policy, new: Policy, paths: Option<Vec<String>>) -> Result<Policy, Status> {
    let paths = paths.filter(|paths| !paths.is_empty());
    let paths = paths.unwrap_or_else(|| vec!["bindings".to_owned(), "etag".to_owned()]);
    current.version = new.version.max(1);
    let (mut bindings, mut audit) = (Some(new.bindings), Some(new.audit_configs));
    for path in &paths {
        match path.as_str() {
            "bindings" => current.bindings = bindings.take().unwrap_or(current.bindings),
            "audit_configs" => current.audit_configs = audit.take().unwrap_or(current.audit_configs),
            "etag" | "version" => {}
            _ => {
                let names = "may name bindings, audit_configs, etag and version";
                return Err(Refusal::invalid("Invalid update mask").field("update_mask", names).status());
            }
        }
    }
    Ok(current)
}

/// What callers see that do not ask for version 3: the role says that there is a condition, not which.
fn without_conditions(mut policy: Policy) -> Policy {
    for binding in &mut policy.bindings {
        if let Some(condition) = binding.condition.take() {
            let mark = hash::of(&[&condition.expression, &condition.title]) & 0xffff_ffff;
            binding.role = format!("{}_withcond_{mark:08x}", binding.role);
        }
    }
    policy.version = policy.version.min(1);
    policy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::google::{iam::v1::Binding, r#type::Expr};

    #[test]
    fn roles_and_members_have_a_shape() {
        for good in ["roles/owner", "projects/p/roles/mine", "organizations/1/roles/ours"] {
            assert!(is_role(good), "{good}");
        }
        for bad in ["", "owner", "roles/", "roles/a/b", "folders/1/roles/x"] {
            assert!(!is_role(bad), "{bad}");
        }
        assert!(is_member("allUsers") && is_member("user:a@b") && !is_member("a@b") && !is_member("user:"));
    }

    #[test]
    fn conditions_need_version_3_and_are_hidden_below_it() {
        let condition = Some(Expr { expression: "true".into(), ..Default::default() });
        let binding = Binding { role: "roles/viewer".into(), members: vec!["allUsers".into()], condition };
        let mut policy = Policy { version: 1, bindings: vec![binding], ..Default::default() };
        check_policy(&policy).expect_err("version 1");
        policy.version = 3;
        check_policy(&policy).expect("version 3");
        let shown = without_conditions(policy);
        assert_eq!((shown.version, &shown.bindings[0].condition), (1, &None));
        assert!(shown.bindings[0].role.starts_with("roles/viewer_withcond_"));
    }
}
