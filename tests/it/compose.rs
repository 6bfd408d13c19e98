//! What `docker compose up` runs, as far as that can be told without containers: the same commands with the same settings,
//! beside the servers of the tests.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{Connection, Database, Process, Redis, causeway};

const COMPOSE: &str = include_str!("../../compose.yaml");
const BLANKS: &str = include_str!("../../causeway.compose.env");

/// What a service is started with, once the blanks are filled in.
fn settings(service: &Value, blanks: &BTreeMap<&str, String>) -> BTreeMap<String, String> {
    let environment = service["environment"].as_object().expect("it has settings");
    let filled = |text: &str| {
        let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
        let (blank, after) = rest.split_once('}').expect("it is closed");
        let (name, _why) = blank.split_once(":?").expect("compose refuses to start without it");
        format!("{before}{}{after}", blanks[name])
    };
    environment
        .iter()
        .map(|(name, value)| (name.clone(), filled(value.as_str().expect("it is text"))))
        .collect()
}

#[tokio::test]
async fn a_team_starts_it_makes_its_first_key_and_is_let_in_with_it() {
    let (Some(database), Some(redis)) = (Database::postgres().await, Redis::start().await) else { return };
    let names = BLANKS.lines().filter_map(|line| line.strip_suffix('='));
    let blanks: BTreeMap<_, _> = names.map(|name| (name, format!("{}=", "A".repeat(43)))).collect();
    assert_eq!(blanks.keys().copied().collect::<Vec<_>>(), ["CAUSEWAY_SECRETS_KEY", "POSTGRES_PASSWORD"]);

    let compose: Value = serde_saphyr::from_str(COMPOSE).expect("it is YAML");
    let prepared = |service: &str, typed: &[&str]| {
        let service = &compose["services"][service];
        let mut settings = settings(service, &blanks);
        // The names of its containers are nobody's here.
        for (name, theirs, ours) in [
            ("CAUSEWAY__DATABASE__URL", "@postgres/causeway", &database.url[..]),
            ("CAUSEWAY__REDIS__URL", "redis://redis:6379", &redis.url()),
            ("CAUSEWAY__HTTP__LISTEN", "0.0.0.0:8080", "127.0.0.1:0"),
        ] {
            assert!(settings[name].ends_with(theirs), "{}", settings[name]);
            settings.insert(name.to_owned(), ours.to_owned());
        }
        // The image's own entry point is the binary alone; whoever has another one names the binary first.
        let words = |key: &str| service[key].as_array().cloned().unwrap_or_default();
        let mut said: Vec<Value> = words("entrypoint");
        assert!(said.first().is_none_or(|binary| binary == "causeway"), "{said:?}");
        said = said.into_iter().skip(1).chain(words("command")).collect();
        let said = said.iter().map(|word| word.as_str().expect("it is a word"));
        let mut command = causeway(&[]);
        command.args(said).args(typed).envs(settings);
        command
    };
    let gateway = Process::run(prepared("gateway", &[]));
    // As the file's head and README.md say.
    let create = ["create", "--principal", "me", "--role", "admin", "--resources", "*"];
    assert!(COMPOSE.contains("keys create --principal me --role admin --resources '*'"));
    let made = prepared("keys", &create).output().unwrap();
    let (key, told) = (String::from_utf8(made.stdout).unwrap(), String::from_utf8(made.stderr).unwrap());
    let key = key.split_whitespace().find(|word| word.starts_with("cw_")).unwrap_or_else(|| panic!("{told}"));

    let mut connection = Connection::http1(gateway.address).await;
    let mut status =
        async |headers: &[(&str, &str)]| connection.send("GET", "/v1/apiKeys", headers, "").await.status;
    assert_eq!(status(&[]).await, 401);
    assert_eq!(status(&[("authorization", &format!("Bearer {key}"))]).await, 200);
    assert_eq!(status(&[("x-goog-api-key", key)]).await, 200);
}
