//! The gateway in a process of its own, which can be killed.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

/// Prepares the binary, with nothing from the environment of whoever runs the tests but their temporary folder: a gateway
/// that is killed leaves its own behind in there.
pub(crate) fn causeway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    command.args(arguments).env_clear().env("TMPDIR", std::env::temp_dir());
    command
}

/// A gateway in a process of its own. Killed when dropped, with no chance to finish anything.
pub(crate) struct Process {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts with these `section.key=value`, on a free port, without authentication and with a key that is always the
    /// same.
    pub(crate) fn start(settings: &[String]) -> Self {
        let key = format!("secrets.key={}=", "A".repeat(43));
        let common = ["identity.mode=none", "http.listen=127.0.0.1:0", "telemetry.log.format=json", &key];
        let mut command = causeway(&["serve"]);
        for setting in common.into_iter().chain(settings.iter().map(String::as_str)) {
            command.args(["--set", setting]);
        }
        Self::run(command)
    }

    /// Starts a prepared command that serves, and logs JSON.
    pub(crate) fn run(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let address = loop {
            let line = lines.next().expect("it says where it listens").expect("its log is text");
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(address) = said["listen"].as_str() {
                break address.parse().expect("an address");
            }
        };
        // Its log is read to the end, or it would stop writing.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
