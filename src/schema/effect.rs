//! Whether a method changes anything.

use super::{
    binding::Binding,
    descriptor::{Pool, Rpc},
};

/// Requests that ask, whoever serves them: the IAM methods are POSTs everywhere.
const ASKING: &[&str] = &["google.iam.v1.GetIamPolicyRequest", "google.iam.v1.TestIamPermissionsRequest"];

/// Whether a method changes anything: decides on retries, the journal and roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing.
    ReadOnly,
    /// May change something.
    Mutation,
}

impl Effect {
    /// A YAML rule decides; else a method reads if all its bindings are GETs and HEADs or its descriptor says so.
    pub(super) fn of(pool: &Pool, rpc: &Rpc, bindings: &[Binding], rule: Option<bool>) -> Self {
        let reads = rpc.no_side_effects
            || bindings.iter().all(|binding| matches!(&*binding.verb, "GET" | "HEAD"))
            || ASKING.contains(&&*pool.message(rpc.input).full_name);
        if rule.unwrap_or(reads) { Self::ReadOnly } else { Self::Mutation }
    }
}
