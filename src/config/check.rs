//! What one section alone cannot know.

use super::Config;
use super::identity::Mode;
use super::problem::Problem;
use super::section::Report;

/// What a gateway is told that has nowhere to keep what it must.
const NO_DATABASE: &str = "missing; keys, the audit log and operations must outlive this process. Without it only \
                           identity.mode = \"none\" without redis.url starts, on a temporary file";

impl Config {
    /// Returns what keeps a gateway from starting with a configuration that is right for commands that do not serve.
    pub fn lacks_to_serve(&self) -> Option<Problem> {
        let is_open = self.identity.mode.is_none_or(|mode| mode == Mode::None);
        let is_alone = is_open && self.redis.url.is_none();
        if is_alone || self.database.url.is_some() {
            return None;
        }
        Some(Problem { key: "database.url".to_owned(), message: NO_DATABASE.to_owned(), origin: None })
    }
}

/// Reports what does not go together.
pub(super) fn across_sections(config: &Config, report: &mut Report) {
    let listen = config.http.listen;
    let loopback = listen.ip().to_canonical().is_loopback();
    match config.identity.mode {
        None if report.origin_of("identity.mode").is_none() => report.problem(
            "identity.mode",
            r#"missing; the gateway does not start without authentication unless you say identity.mode = "none" and keep http.listen on loopback"#,
            None,
        ),
        Some(Mode::None) if !loopback => {
            let message = format!(
                r#"{listen} is not loopback, and with identity.mode = "none" whoever reaches the gateway may do everything; listen on 127.0.0.1 and put an authenticating proxy in front"#
            );
            let origin = report.origin_of("http.listen");
            report.problem("http.listen", message, origin);
        }
        Some(mode) if !config.http.hosts.is_empty() && (mode != Mode::None || config.http.tls.is_some()) => {
            report.warning("http.hosts: has no effect; with credentials, or a certificate, any name will do");
        }
        _ => {}
    }
    for (key, upstream) in &config.upstreams {
        if upstream.deadline > config.http.request_timeout {
            report.warning(format!(
                "upstreams.{key}.deadline: longer than http.request_timeout, which ends the request first"
            ));
        }
    }
}
