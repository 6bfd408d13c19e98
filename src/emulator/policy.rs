//! Who may use a resource: policies with etags, as every service of Google keeps them.

use prost::Message as _;
use tonic::{Code, Status};

use super::{hash, limits::EMULATOR_POLICY_BYTES_MAX, status::Refusal};
use crate::pb::google::iam::v1::{GetIamPolicyRequest, Policy, SetIamPolicyRequest};

/// The etag of a policy that was never set.
const NO_POLICY: &[u8] = &[0x00, 0x20, 0x01];
/// The format that conditions need.
const CONDITIONS: i32 = 3;

/// Returns what a caller sees of a policy; an empty one where none was set.
///
/// # Errors
/// INVALID_ARGUMENT for a version that does not exist.
pub(super) fn read(kept: Option<&Policy>, request: &GetIamPolicyRequest) -> Result<Policy, Status> {
    let version = request.options.as_ref().map_or(0, |options| options.requested_policy_version);
    if !matches!(version, 0 | 1 | CONDITIONS) {
        return Err(Refusal::invalid("Invalid policy version")
            .field("options.requested_policy_version", "must be 0, 1 or 3")
            .status());
    }
    let policy = kept.cloned().unwrap_or_else(empty);
    Ok(if version < CONDITIONS { without_conditions(policy) } else { policy })
}

/// Returns the policy to keep after a change; `fresh` makes its etag.
///
/// # Errors
/// INVALID_ARGUMENT for a policy that is wrong, ABORTED for one with another etag than the kept one.
pub(super) fn change(
    domain: &str,
    kept: Option<&Policy>,
    request: SetIamPolicyRequest,
    fresh: u64,
) -> Result<Policy, Status> {
    let Some(new) = request.policy else {
        return Err(Refusal::invalid("Invalid request").field("policy", "is required").status());
    };
    check(&new)?;
    let current = kept.cloned().unwrap_or_else(empty);
    if !new.etag.is_empty() && new.etag != current.etag {
        let advice =
            "The policy was changed by somebody else. Read it again, repeat the change and set it once more.";
        return Err(Refusal::new(Code::Aborted, advice)
            .info("ETAG_MISMATCH", domain, &[("resource", &request.resource)])
            .status());
    }
    let mut set = merge(current, new, request.update_mask.map(|mask| mask.paths))?;
    // The lead byte makes the base64 form hold `/` or `+` more often than not, as etags do.
    set.etag = [&[0xff][..], &fresh.to_be_bytes()].concat().into();
    Ok(set)
}

fn empty() -> Policy {
    Policy { etag: NO_POLICY.into(), ..Default::default() }
}

fn check(policy: &Policy) -> Result<(), Status> {
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
        check(&policy).expect_err("version 1");
        policy.version = 3;
        check(&policy).expect("version 3");
        let shown = without_conditions(policy);
        assert_eq!((shown.version, &shown.bindings[0].condition), (1, &None));
        assert!(shown.bindings[0].role.starts_with("roles/viewer_withcond_"));
    }
}
