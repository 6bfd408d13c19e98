//! What reaches across projects, by reading or by naming: only those that were granted.

use std::{collections::BTreeSet, sync::Arc};

use causeway::{
    clock::{Clock as _, SystemClock},
    emulator::{Emulator, Scenario},
    model::Role,
};
use serde_json::{Value, json};

use crate::harness::{Database, Gateway, Keyring};

const JSON: (&str, &str) = ("content-type", "application/json");
const BACKFILL: &str = "/v1/projects/acme-data/locations/europe-west1/streams/shop-to-bigquery/objects/public-orders:startBackfillJob";
const SESSIONS: &str = "/v1/projects/acme-shop/instances/sessions";
const GROW: &str = r#"{"instance": {"processingUnits": 400}, "fieldMask": "processingUnits"}"#;

/// A gateway in front of a company, with one operation in each of two projects.
struct Story {
    gateway: Gateway,
    ring: Keyring,
    root: String,
    _emulator: Emulator,
}

impl Story {
    async fn of(database: Database) -> Self {
        let clock = Arc::new(SystemClock);
        let emulator = Emulator::start_on_loopback(Scenario::sample(clock.now()), clock).await.unwrap();
        let ring = Keyring::of(database).await;
        let mut settings: Vec<String> = ring.settings().into();
        settings.extend(
            emulator
                .addresses()
                .map(|(upstream, address)| format!("upstreams.{}.endpoint=http://{address}", upstream.key())),
        );
        let gateway = Gateway::start(&settings).await;
        let (_, root) = ring.make("root", Role::Admin, &["*"]).await;
        let story = Self { gateway, ring, root, _emulator: emulator };
        for (verb, target, body) in [("POST", BACKFILL, "{}"), ("PATCH", SESSIONS, GROW)] {
            let headers = [JSON, ("x-goog-api-key", &*story.root)];
            let started = story.gateway.send(verb, target, &headers, body).await;
            assert_eq!(started.status, 200, "{target}: {}", started.text());
        }
        story
    }

    /// Returns the projects of what a list shows to a holder of a new key.
    async fn seen(&self, role: Role, resources: &[&str], target: &str) -> Result<BTreeSet<String>, u16> {
        let (kept, key) = self.ring.make("somebody", role, resources).await;
        let answer = self.gateway.send("GET", target, &[("x-goog-api-key", &key)], "").await;
        self.ring.keys.revoke(&kept.id).await.unwrap();
        if answer.status != 200 {
            return Err(answer.status.as_u16());
        }
        let lists = answer.json();
        let rows = lists.as_object().unwrap().values().find_map(Value::as_array).cloned().unwrap_or_default();
        let project = |row: &Value| {
            let name = row["name"].as_str().unwrap();
            name.strip_prefix("projects/")
                .map_or(String::new(), |rest| rest.split('/').next().unwrap().to_owned())
        };
        Ok(rows.iter().map(project).collect())
    }
}

fn projects(ids: &[&str]) -> Result<BTreeSet<String>, u16> {
    Ok(ids.iter().map(|id| (*id).to_owned()).collect())
}

#[tokio::test]
async fn operations_are_shown_of_the_projects_that_were_granted() {
    for database in Database::each().await {
        let story = Story::of(database).await;
        for target in ["/v1/operations", "/v1/projects/-/operations"] {
            for (resources, expected) in [
                (&["*"][..], projects(&["acme-data", "acme-shop"])),
                (&["projects/*"], projects(&["acme-data", "acme-shop"])),
                (&["projects/acme-*"], projects(&["acme-data", "acme-shop"])),
                (&["projects/acme-d*"], projects(&["acme-data"])),
                (&["projects/*-shop", "projects/other"], projects(&["acme-shop"])),
                (&["projects/acme_data", "projects/ACME-data", "projects/acme-dat[a]"], projects(&[])),
                (&["projects/acme-data/operations"], projects(&["acme-data"])),
                (&["projects/acme-data/locations/europe-west1"], Err(403)),
                (&["shelves/*"], Err(403)),
            ] {
                let seen = story.seen(Role::Viewer, resources, target).await;
                assert_eq!(seen, expected, "{target} with {resources:?}");
            }
        }
        let one = "/v1/projects/acme-shop/operations";
        assert_eq!(story.seen(Role::Viewer, &["projects/acme-data"], one).await, Err(403));
        let tasks = "/v1/projects/-/locations/EU/tasks";
        assert_eq!(story.seen(Role::Viewer, &["projects/acme-data"], tasks).await, projects(&[]));
        assert_eq!(story.seen(Role::Viewer, &["projects/acme-data/locations/EU"], tasks).await, Err(403));
    }
}

#[tokio::test]
async fn the_audit_log_is_shown_of_the_projects_that_were_granted() {
    for database in Database::each().await {
        let story = Story::of(database).await;
        // What is about no project is for those who may see everything.
        let headers = [("x-goog-api-key", &*story.root)];
        assert_eq!(story.gateway.send("GET", "/v1/apiKeys", &headers, "").await.status, 200);
        for target in ["/v1/auditEntries", "/v1/projects/-/auditEntries"] {
            for (role, resources, expected) in [
                (Role::Admin, &["*"][..], projects(&["", "acme-data", "acme-shop"])),
                (Role::Admin, &["projects/acme-s*"], projects(&["acme-shop"])),
                (Role::Admin, &["projects/acme-data", "projects/other"], projects(&["acme-data"])),
                (Role::Editor, &["*"], Err(403)),
                (Role::Admin, &["shelves/*"], Err(403)),
            ] {
                let seen = story.seen(role, resources, target).await;
                assert_eq!(seen, expected, "{target} with {resources:?}");
            }
        }
        let (_, shop) = story.ring.make("shop", Role::Admin, &["projects/acme-shop"]).await;
        let lines =
            story.gateway.send("GET", "/v1/auditEntries:export", &[("x-goog-api-key", &shop)], "").await;
        assert!(
            lines.text().contains("acme-shop") && !lines.text().contains("acme-data"),
            "{}",
            lines.text()
        );
    }
}

/// The gateway's own account sees everything, and only the name in the path was looked at: whoever had a project could have
/// another's databases copied into it, and its tables listed.
#[tokio::test]
async fn what_a_request_names_takes_the_same_as_what_its_path_names() {
    let story = Story::of(Database::sqlite()).await;
    let rival = "projects/rival/locations/europe-west1";
    let data = "projects/acme-data/locations/europe-west1";
    let (_, viewer) = story.ring.make("viewer", Role::Viewer, &["projects/rival"]).await;
    let (_, editor) = story.ring.make("editor", Role::Editor, &["projects/rival"]).await;
    let (_, both) = story
        .ring
        .make("both", Role::Editor, &["projects/rival", "projects/acme-data", "projects/acme-shop"])
        .await;
    let backup = "projects/acme-shop/instances/ledger/backups/ledger-monday";
    let profile = format!("{data}/connectionProfiles/help-desk-mysql");
    let stream = json!({
        "displayName": "s",
        "sourceConfig": {"sourceConnectionProfile": profile, "mysqlSourceConfig": {}},
        "destinationConfig": {"destinationConnectionProfile": format!("{rival}/connectionProfiles/bq")},
    });
    let cases = [
        (
            &viewer,
            format!("{rival}/connectionProfiles:discover"),
            json!({"connectionProfileName": profile, "fullHierarchy": true}),
        ),
        (
            &editor,
            "projects/rival/instances/vault/backups:copy".to_owned(),
            json!({"backupId": "loot", "sourceBackup": backup, "expireTime": "2100-01-01T00:00:00Z"}),
        ),
        (
            &editor,
            "projects/rival/instances/vault/databases:restore".to_owned(),
            json!({"databaseId": "loot", "backup": format!("//spanner.googleapis.com/{backup}")}),
        ),
        (&editor, format!("{rival}/streams?streamId=s"), stream.clone()),
    ];
    let post = async |key: &str, target: &str, body: &Value| {
        let headers = [JSON, ("x-goog-api-key", key)];
        story.gateway.send("POST", &format!("/v1/{target}"), &headers, body.to_string()).await
    };
    for (key, target, body) in &cases {
        let message = post(key, target, body).await.refused(403, "PERMISSION_DENIED");
        assert!(message.contains(" on projects/acme-"), "{target}: {message}");
        // Whoever may there hears of the upstream what it says.
        let heard = post(&both, target, body).await;
        assert_ne!(heard.status, 403, "{target}: {}", heard.text());
    }
    // What takes no effect is no matter: the own name, and what the mask leaves out.
    let streams = format!("/v1/{rival}/streams/s");
    let copied = |source: &str| {
        let mut stream = stream.clone();
        stream["name"] = json!(format!("{data}/streams/s"));
        stream["sourceConfig"]["sourceConnectionProfile"] = json!(source);
        stream.to_string()
    };
    let headers = [JSON, ("x-goog-api-key", &*editor)];
    let patch = async |mask: &str, source: &str| {
        let target = format!("{streams}?updateMask={mask}");
        story.gateway.send("PATCH", &target, &headers, copied(source)).await.status.as_u16()
    };
    let own = format!("{rival}/connectionProfiles/mine");
    assert_eq!(patch("displayName", &profile).await, 404);
    assert_eq!(patch("sourceConfig", &own).await, 404);
    for mask in ["sourceConfig", "displayName,sourceConfig.sourceConnectionProfile", "*", ""] {
        assert_eq!(patch(mask, &profile).await, 403, "{mask}");
    }
}
