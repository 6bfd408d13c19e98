//! What a method tells the world when it has done its work.

use super::{
    descriptor::{Pool, Rpc},
    effect::Effect,
    secret::SecretTypes,
    service_config::ToldEvent,
};

/// Its answer: the operation tells by itself.
const OPERATION: &str = "google.longrunning.Operation";

/// The event of a method that is done when it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tells {
    /// Type of the event, e.g. `connection.created`.
    pub event: String,
    /// Where a rule says so: file, line and selector.
    pub place: String,
    /// Paths of the response fields that are secret, by original names.
    pub secret_fields: Vec<String>,
}

impl Tells {
    /// Looks at what a rule says.
    ///
    /// # Errors
    /// Nothing has happened when the method answers.
    pub(super) fn of(
        pool: &Pool,
        secrets: &SecretTypes,
        rpc: &Rpc,
        effect: Effect,
        told: Option<ToldEvent>,
    ) -> Result<Option<Self>, String> {
        let Some(ToldEvent { event, place }) = told else { return Ok(None) };
        if effect == Effect::ReadOnly {
            return Err("tells: the method changes nothing".to_owned());
        }
        if rpc.server_streaming {
            return Err("tells: the method answers with a stream".to_owned());
        }
        if &*pool.message(rpc.output).full_name == OPERATION {
            return Err("tells: the method starts an operation, which tells by itself".to_owned());
        }
        Ok(Some(Self { event, place, secret_fields: secrets.paths(pool, rpc.output) }))
    }
}
