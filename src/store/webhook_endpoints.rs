//! Webhook endpoints: who wants to know what.

use jiff::Timestamp;

use super::{Store, both, instance::time_ordered_id};
use crate::{
    error::{Error, Result},
    model::{Endpoint, EndpointSettings, WebhookEvent},
};

/// Reads settings as they are kept.
pub(super) fn settings_of(text: &str) -> serde_json::Result<EndpointSettings> {
    serde_json::from_str(text)
}

fn text_of(settings: &EndpointSettings) -> Result<String> {
    serde_json::to_string(settings).map_err(Error::internal)
}

impl Store {
    /// Makes an id that sorts behind those made before: lower-case letters and digits behind `prefix`.
    pub fn new_id(&self, prefix: &str) -> String {
        let id = time_ordered_id(self.now()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("{prefix}{id}")
    }

    /// Adds an endpoint; `false` if its project has `max` already.
    ///
    /// # Errors
    /// The database is away.
    pub async fn insert_webhook_endpoint(&self, endpoint: &Endpoint, max: i64) -> Result<bool> {
        let settings = text_of(&endpoint.settings)?;
        both!(self, webhook_endpoints::insert(endpoint, &settings, max))
    }

    /// Finds an endpoint of a project.
    ///
    /// # Errors
    /// The database is away.
    pub async fn webhook_endpoint(&self, project: &str, id: &str) -> Result<Option<Endpoint>> {
        both!(self, webhook_endpoints::get(project, id))
    }

    /// Finds an endpoint by its id alone.
    ///
    /// # Errors
    /// The database is away.
    pub async fn webhook_endpoint_by_id(&self, id: &str) -> Result<Option<Endpoint>> {
        both!(self, webhook_endpoints::by_id(id))
    }

    /// Lists endpoints of a project by id, from behind `after` on.
    ///
    /// # Errors
    /// The database is away.
    pub async fn webhook_endpoints(&self, project: &str, after: &str, limit: i64) -> Result<Vec<Endpoint>> {
        both!(self, webhook_endpoints::list(project, after, limit))
    }

    /// Lists endpoints of all projects by id, from behind `after` on.
    ///
    /// # Errors
    /// The database is away.
    pub async fn all_webhook_endpoints(&self, after: &str, limit: i64) -> Result<Vec<Endpoint>> {
        both!(self, webhook_endpoints::list_all(after, limit))
    }

    /// Writes what an endpoint has sealed as it is sealed by now; `false` if it was changed since it was read.
    ///
    /// # Errors
    /// The database is away.
    pub async fn reseal_webhook_endpoint(
        &self,
        endpoint: &Endpoint,
        headers: &[u8],
        secrets: &[u8],
    ) -> Result<bool> {
        both!(self, webhook_endpoints::reseal(endpoint, headers, secrets))
    }

    /// Writes an endpoint over the version that it was read as; `false` if it was changed meanwhile. One that is disabled
    /// by this has nothing queued afterwards. Since when it fails and until when it is left alone is not written: it is
    /// forgotten with `begins_anew`, and stays as it is without.
    ///
    /// # Errors
    /// The database is away.
    pub async fn update_webhook_endpoint(&self, endpoint: &Endpoint, begins_anew: bool) -> Result<bool> {
        let settings = text_of(&endpoint.settings)?;
        both!(self, webhook_endpoints::update(endpoint, &settings, begins_anew, self.now().as_microsecond()))
    }

    /// Deletes an endpoint and cancels what is queued for it; `false` if there is none.
    ///
    /// # Errors
    /// The database is away.
    pub async fn delete_webhook_endpoint(&self, project: &str, id: &str) -> Result<bool> {
        both!(self, webhook_endpoints::delete(project, id, self.now().as_microsecond()))
    }

    /// Disables an endpoint that is enabled, cancels what is queued for it and writes the event that says so.
    ///
    /// # Errors
    /// The database is away.
    pub async fn disable_webhook_endpoint(
        &self,
        id: &str,
        reason: &str,
        event: &WebhookEvent,
    ) -> Result<bool> {
        both!(self, webhook_endpoints::disable(id, reason, event, self.now().as_microsecond()))
            .inspect(|_| self.tell())
    }

    /// Forgets that an endpoint was failing, or disabled for it, and writes the event that says so, unless somebody did that
    /// already.
    ///
    /// # Errors
    /// The database is away.
    pub async fn recover_webhook_endpoint(&self, id: &str, event: Option<&WebhookEvent>) -> Result<()> {
        both!(self, webhook_endpoints::recover(id, event)).inspect(|()| self.tell())
    }

    /// Leaves an endpoint alone until `until`.
    ///
    /// # Errors
    /// The database is away.
    pub async fn pause_webhook_endpoint(&self, id: &str, until: Timestamp) -> Result<()> {
        both!(self, webhook_endpoints::pause(id, until.as_microsecond()))
    }

    /// Returns a number that grows with each change of any endpoint.
    ///
    /// # Errors
    /// The database is away.
    pub async fn webhook_generation(&self) -> Result<i64> {
        both!(self, webhook_endpoints::generation())
    }

    /// Removes a part of what belongs to deleted endpoints; tells whether there may be more.
    ///
    /// # Errors
    /// The database is away.
    pub async fn sweep_webhook_endpoints(&self, limit: i64) -> Result<bool> {
        both!(self, webhook_endpoints::sweep(limit))
    }
}
