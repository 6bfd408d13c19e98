//! A Postgres server of a story's own, which can crash without harm to the other stories.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use super::database::{Database, server};

/// A server in processes of its own. Stopped when dropped.
pub(crate) struct Postgres {
    services: Child,
    /// What the services wait for.
    command: String,
    url: String,
    crash: String,
}

impl Postgres {
    /// Starts one; `None`, with a word, when the tests have no servers.
    pub(crate) fn start() -> Option<Self> {
        server()?;
        let script = r#"echo "$$ $CAUSEWAY_TEST_POSTGRES $CAUSEWAY_TEST_POSTGRES_CRASH"; exec sleep 300"#;
        let mut services = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/services/with"))
            .args(["sh", "-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the services start");
        let mut line = String::new();
        let mut said = BufReader::new(services.stdout.take().expect("it is piped"));
        said.read_line(&mut line).expect("they say where they are");
        let [command, url, crash] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("the services said {line:?}");
        };
        let [command, url, crash] = [command, url, crash].map(str::to_owned);
        Some(Self { services, command, url, crash })
    }

    /// Its database.
    pub(crate) fn database(&self) -> Database {
        Database::at(&self.url)
    }

    /// Ends it as a power failure would, and starts it again.
    pub(crate) async fn crash(&self) {
        let crash = self.crash.clone();
        let done = tokio::task::spawn_blocking(move || Command::new(crash).status());
        assert!(done.await.expect("it is not cancelled").expect("the command runs").success());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _gone = Command::new("kill").arg(&self.command).status();
        let _gone = self.services.wait();
    }
}
