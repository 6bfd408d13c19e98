//! Stories about delivering, on both stores: a clock that is moved by hand, rounds that are driven by hand, receivers on
//! real sockets whose verdict is that of the public library.

mod ear;
mod failing;
mod sending;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::SignedDuration;
use serde_json::json;

use self::ear::{Ear, Got};
use super::{Courier, Draft, Endpoints, Keeper, Secret};
use crate::{
    clock::{Clock as _, ManualClock, SystemClock},
    crypto::{Keys, Purpose},
    egress::{Egress, Policy, Resolve, Resolved, Roots},
    model::{Delivery, Endpoint, WebhookEvent},
    store::{EventQuery, Store, contract},
};

/// The one name of these stories.
struct Name(Mutex<IpAddr>);

impl Resolve for Name {
    fn resolve<'a>(&'a self, _name: &'a str) -> Resolved<'a> {
        let address = *self.0.lock().unwrap();
        Box::pin(async move { Ok(vec![address]) })
    }
}

/// Everything that a story needs, on one store.
struct Stage {
    store: Store,
    clock: Arc<ManualClock>,
    name: Arc<Name>,
    endpoints: Endpoints,
    courier: Courier,
    keeper: Keeper,
    egress: Egress,
    ear: Ear,
}

impl Stage {
    /// One on each store that there is.
    async fn each() -> Vec<Self> {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let mut all = Vec::new();
        for store in contract::each(clock.clone()).await {
            let name = Arc::new(Name(Mutex::new(Ipv4Addr::LOCALHOST.into())));
            let policy = Policy { allow: vec!["127.0.0.1/32".parse().unwrap()], allow_http: true };
            let roots = Roots::Only(Vec::new());
            let egress = Egress::new(policy, name.clone(), &roots, Duration::from_millis(300)).unwrap();
            let sealer = Keys::new(&[7; 32], &[]).sealer(Purpose::WebhookSecret);
            all.push(Self {
                endpoints: Endpoints::new(
                    store.clone(),
                    egress.clone(),
                    sealer.clone(),
                    BTreeSet::from(["datastream".to_owned()]),
                ),
                courier: Courier::new(store.clone(), egress.clone(), sealer.clone()),
                keeper: Keeper::new(store.clone(), &egress, sealer),
                ear: Ear::open().await,
                clock: clock.clone(),
                store,
                name,
                egress,
            });
        }
        all
    }

    async fn endpoint(&self, types: &[&str]) -> (Endpoint, Secret) {
        let draft = Draft {
            url: Some(format!("http://hook.test:{}/", self.ear.address.port())),
            event_types: Some(types.iter().map(|kind| (*kind).to_owned()).collect()),
            ..Draft::default()
        };
        self.endpoints.create("p", draft, None).await.unwrap()
    }

    async fn happens(&self, kind: &str) -> WebhookEvent {
        let event = self.store.new_event(
            "p",
            kind,
            json!({"operation": {"name": "projects/p/operations/o"}}).to_string(),
        );
        self.store.insert_events(std::slice::from_ref(&event)).await.unwrap();
        event
    }

    fn later(&self, by: SignedDuration) {
        self.clock.advance(by.unsigned_abs());
    }

    async fn delivery(&self, endpoint: &Endpoint, event: &WebhookEvent) -> Delivery {
        self.store.delivery(&endpoint.id, &event.id).await.unwrap().unwrap()
    }

    /// The types of all events, the oldest first.
    async fn events(&self) -> Vec<String> {
        let query = EventQuery {
            project: "p".into(),
            kind: String::new(),
            since: jiff::Timestamp::UNIX_EPOCH,
            before: String::new(),
            limit: 100,
        };
        self.store.events(&query).await.unwrap().into_iter().rev().map(|event| event.kind).collect()
    }
}

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
