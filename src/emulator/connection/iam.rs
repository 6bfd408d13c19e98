//! Who may use a connection: its policy, and the test of permissions.

use tonic::Status;

use super::{
    super::{limits::EMULATOR_PERMISSIONS_MAX, policy, status::Refusal},
    Connections, DOMAIN, check,
    store::missing,
};
use crate::pb::google::iam::v1::{
    GetIamPolicyRequest, Policy, SetIamPolicyRequest, TestIamPermissionsRequest, TestIamPermissionsResponse,
};

/// What a caller of the emulator may do with a connection.
const HELD: [&str; 7] = ["delegate", "delete", "get", "getIamPolicy", "setIamPolicy", "update", "use"];
/// What exists besides: rights on a project, which no connection grants.
const ELSEWHERE: [&str; 2] = ["create", "list"];

impl Connections {
    pub(super) fn get_policy(&self, request: &GetIamPolicyRequest) -> Result<Policy, Status> {
        check::name("resource", &request.resource)?;
        let state = self.lock();
        let held = state.held.get(&request.resource).ok_or_else(|| missing(&request.resource))?;
        policy::read(held.policy.as_ref(), request)
    }

    pub(super) fn set_policy(&self, request: SetIamPolicyRequest) -> Result<Policy, Status> {
        check::name("resource", &request.resource)?;
        let mut state = self.lock();
        let fresh = state.rng.u64(..);
        let held = state.held.get_mut(&request.resource).ok_or_else(|| missing(&request.resource))?;
        let set = policy::change(DOMAIN, held.policy.as_ref(), request, fresh)?;
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
