//! The connections that exist, and what the five standard methods do to them.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fastrand::Rng;
use tonic::Status;

use super::{
    super::{
        limits::EMULATOR_CONNECTIONS_MAX,
        paging::{self, Ask},
        scenario::{PageSizes, Scenario},
        status::Refusal,
    },
    DOMAIN, KIND, check,
    fill::{fill, uuid},
    mask,
};
use crate::{
    clock::Clock,
    error::{Error, Result},
    pb::google::{
        cloud::bigquery::connection::v1::{
            CloudSqlCredential, Connection, CreateConnectionRequest, ListConnectionsRequest,
            ListConnectionsResponse, UpdateConnectionRequest, connection::Properties,
        },
        iam::v1::Policy,
    },
};

/// The connections of an emulator.
pub struct Connections {
    state: Mutex<State>,
    page_sizes: PageSizes,
    clock: Arc<dyn Clock>,
}

/// What changes.
pub(super) struct State {
    /// By full name, which is also the order of lists.
    pub(super) held: BTreeMap<String, Held>,
    /// Makes up ids, accounts and etags.
    pub(super) rng: Rng,
}

/// One connection and what belongs to it without being shown.
pub(super) struct Held {
    connection: Connection,
    credential: Option<CloudSqlCredential>,
    pub(super) policy: Option<Policy>,
}

impl Connections {
    /// Takes over the connections of a scenario.
    ///
    /// # Errors
    /// When there are more than [`EMULATOR_CONNECTIONS_MAX`].
    pub(in super::super) fn new(scenario: &Scenario, clock: Arc<dyn Clock>) -> Result<Self> {
        let state = State { held: BTreeMap::new(), rng: Rng::with_seed(scenario.seed) };
        let new = Self { state: Mutex::new(state), page_sizes: scenario.page_sizes, clock };
        for connection in &scenario.connections {
            new.insert(connection.clone())?;
        }
        Ok(new)
    }

    /// Puts a connection there behind the API's back, by its full name; what the service fills in is filled in.
    ///
    /// # Errors
    /// When there are [`EMULATOR_CONNECTIONS_MAX`] already.
    pub fn insert(&self, mut connection: Connection) -> Result<()> {
        let mut state = self.lock();
        if state.held.len() >= EMULATOR_CONNECTIONS_MAX {
            return Err(Error::limit(format!(
                "an emulator holds at most {EMULATOR_CONNECTIONS_MAX} connections"
            )));
        }
        let credential = take_credential(&mut connection);
        connection.has_credential |= credential.is_some();
        fill(&mut connection, None, &mut state.rng);
        let name = connection.name.clone();
        state.held.insert(name, Held { connection, credential, policy: None });
        Ok(())
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.lock().held.len()
    }

    /// Returns the credential that is held for a connection, which no rpc ever does.
    pub fn credential(&self, name: &str) -> Option<CloudSqlCredential> {
        self.lock().held.get(name)?.credential.clone()
    }

    pub(super) fn create(&self, request: CreateConnectionRequest) -> Result<Connection, Status> {
        let CreateConnectionRequest { parent, connection_id: id, connection } = request;
        check::parent(&parent)?;
        check::id(&id)?;
        let Some(mut connection) = connection else {
            return Err(Refusal::invalid("Invalid request").field("connection", "is required").status());
        };
        check::connection(&connection)?;
        let mut state = self.lock();
        let id = if id.is_empty() { uuid(&mut state.rng) } else { id };
        let name = format!("{parent}/connections/{id}");
        if state.held.contains_key(&name) {
            return Err(Refusal::already_exists(DOMAIN, KIND, &name).status());
        }
        if state.held.len() >= EMULATOR_CONNECTIONS_MAX {
            let most = format!("at most {EMULATOR_CONNECTIONS_MAX} connections");
            return Err(Refusal::exhausted(DOMAIN, &parent, &most).status());
        }
        connection.name.clone_from(&name);
        connection.creation_time = self.now_ms();
        connection.last_modified_time = connection.creation_time;
        let credential = take_credential(&mut connection);
        connection.has_credential = credential.is_some();
        fill(&mut connection, None, &mut state.rng);
        state.held.insert(name, Held { connection: connection.clone(), credential, policy: None });
        Ok(connection)
    }

    pub(super) fn get(&self, name: &str) -> Result<Connection, Status> {
        check::name("name", name)?;
        let state = self.lock();
        let held = state.held.get(name).ok_or_else(|| missing(name))?;
        Ok(held.connection.clone())
    }

    pub(super) fn list(&self, request: &ListConnectionsRequest) -> Result<ListConnectionsResponse, Status> {
        check::parent(&request.parent)?;
        let prefix = format!("{}/connections/", request.parent);
        let ask = Ask { size: request.page_size, token: &request.page_token, list: &request.parent };
        let state = self.lock();
        let page = paging::page(self.page_sizes, &ask, |after| {
            let start = after.map_or(Bound::Included(prefix.as_str()), Bound::Excluded);
            let rest = state.held.range::<str, _>((start, Bound::Unbounded));
            let rest = rest.take_while(|(name, _)| name.starts_with(&prefix));
            Box::new(rest.map(|(name, held)| (name.as_str(), held.connection.clone())))
        })?;
        Ok(ListConnectionsResponse { connections: page.items, next_page_token: page.next })
    }

    pub(super) fn update(&self, request: &UpdateConnectionRequest) -> Result<Connection, Status> {
        let name = &request.name;
        check::name("name", name)?;
        let Some(new) = &request.connection else {
            return Err(Refusal::invalid("Invalid request").field("connection", "is required").status());
        };
        let paths = request.update_mask.as_ref().map_or(&[][..], |mask| &mask.paths);
        let mut state = self.lock();
        let State { held, rng } = &mut *state;
        let held = held.get_mut(name).ok_or_else(|| missing(name))?;
        let mut changed = held.connection.clone();
        let properties = mask::apply(&mut changed, new, paths)?;
        check::connection(&changed)?;
        // The credential goes whenever a property is named, unless the same request brings one.
        if properties {
            held.credential = take_credential(&mut changed);
            changed.has_credential = held.credential.is_some();
        }
        changed.last_modified_time = self.now_ms();
        fill(&mut changed, Some(&held.connection), rng);
        held.connection = changed.clone();
        Ok(changed)
    }

    pub(super) fn delete(&self, name: &str) -> Result<(), Status> {
        check::name("name", name)?;
        self.lock().held.remove(name).map(drop).ok_or_else(|| missing(name))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }
}

/// There is no such connection.
pub(super) fn missing(name: &str) -> Status {
    Refusal::not_found(DOMAIN, KIND, name).status()
}

/// Takes the credential out of what will be shown. One without user and password is none.
fn take_credential(connection: &mut Connection) -> Option<CloudSqlCredential> {
    let Some(Properties::CloudSql(sql)) = &mut connection.properties else { return None };
    sql.credential.take().filter(|credential| *credential != CloudSqlCredential::default())
}
