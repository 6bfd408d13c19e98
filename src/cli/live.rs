//! `causeway check --live`: does every upstream answer, with the credentials that are configured?

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use http::HeaderValue;
use tokio::{task::JoinSet, time::Instant};

use super::{say, table::Table};
use crate::{
    app,
    config::{Config, Credentials, Upstream as Section},
    error::{Code, Error},
    gateway::{NoProbe, Probe, Surroundings},
    schema::Catalog,
    transcode::Transcoder,
    upstream::Upstreams,
};

/// The longest that one read may take; a token and a connection are part of it.
const READ_TIME_MAX: Duration = Duration::from_secs(20);
/// The largest file with a token, in bytes.
const TOKEN_BYTES_MAX: u64 = 16 * 1024;
/// Characters of an upstream's words that are printed.
const WORDS_CHARS_MAX: usize = 600;
/// A region that every service of Google's has.
const LOCATION: &str = "us-central1";

/// What is asked, and with what.
#[derive(Args, Debug)]
pub(super) struct Live {
    /// Also call each upstream once, for something that changes nothing, and report what it answers.
    #[arg(long, conflicts_with = "print")]
    live: bool,

    /// The project to read in, with --live. Otherwise upstreams.KEY.quota_project.
    #[arg(long, value_name = "PROJECT", requires = "live")]
    project: Option<String>,

    /// The location to read in, with --live. Otherwise the first of upstreams.KEY.locations, else us-central1.
    #[arg(long, value_name = "LOCATION", requires = "live")]
    location: Option<String>,

    /// A file with an access token, with --live: what a caller would send to upstreams with credentials = "caller".
    #[arg(long, value_name = "FILE", requires = "live")]
    token_file: Option<PathBuf>,
}

/// What became of one upstream.
struct Finding {
    row: [String; 5],
    problem: Option<String>,
}

impl Live {
    /// Tells whether upstreams are to be called.
    pub(super) fn is_wanted(&self) -> bool {
        self.live
    }

    /// Calls the upstreams, or only one, all at the same time. Prints a row for each and returns what is wrong.
    pub(super) async fn look(
        &self,
        config: &Config,
        catalog: &Catalog,
        only: Option<&str>,
    ) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
        let callers = self.token_file.as_deref().map(authorization).transpose()?;
        let transcoder = Transcoder::new(&catalog.pool);
        let upstreams = Upstreams::build(&config.upstreams, |key| catalog.oauth_scopes(key))
            .map_err(|error| app::StartError(vec![error.told()]))?;
        let mut reads = JoinSet::new();
        let mut findings = Vec::new();
        for upstream in upstreams.iter().filter(|upstream| only.is_none_or(|key| key == upstream.key())) {
            let section = config.upstreams[upstream.key()].clone();
            let surroundings = self.surroundings(&section);
            let key = upstream.key().to_owned();
            match Probe::choose(catalog, &transcoder, upstream, surroundings) {
                Ok(probe) => {
                    let callers = callers.clone();
                    reads.spawn(async move { read(&key, &section, probe, callers).await });
                }
                Err(why) => findings.push(untried(&key, &section, &why)),
            }
        }
        while let Some(finding) = reads.join_next().await {
            findings.push(finding?);
        }
        findings.sort_by(|one, other| one.row[0].cmp(&other.row[0]));
        let mut table = Table::new(&["UPSTREAM", "CREDENTIALS", "READ", "ANSWER", "TIME"]);
        let mut problems = Vec::new();
        if findings.is_empty() {
            problems
                .push("there is no upstream to call: the configuration has no section for one".to_owned());
        }
        for finding in findings {
            table.row(finding.row);
            problems.extend(finding.problem);
        }
        say(&table.print())?;
        Ok(problems)
    }

    fn surroundings<'s>(&'s self, section: &'s Section) -> Surroundings<'s> {
        let first = section.locations.first().map(String::as_str);
        Surroundings {
            project: self.project.as_deref().or(section.quota_project.as_deref()),
            location: self.location.as_deref().or(first).unwrap_or(LOCATION),
        }
    }
}

async fn read(key: &str, section: &Section, probe: Probe, callers: Option<HeaderValue>) -> Finding {
    let request = probe.request.clone();
    let without_theirs = section.credentials == Credentials::Caller && callers.is_none();
    let started = Instant::now();
    let outcome = probe.make(callers, READ_TIME_MAX).await;
    let (answer, problem) = match outcome {
        Ok(()) => ("OK".to_owned(), None),
        // It is there and asks for what a caller will bring.
        Err(error) if without_theirs && error.code() == Code::Unauthenticated => {
            ("OK, for callers who show a credential".to_owned(), None)
        }
        Err(error) => (error.code().name().to_owned(), Some(problem(key, section, &request, &error))),
    };
    let time = format!("{} ms", started.elapsed().as_millis());
    Finding { row: [key.to_owned(), section.credentials.kind().to_owned(), request, answer, time], problem }
}

fn untried(key: &str, section: &Section, why: &NoProbe) -> Finding {
    let (answer, problem) = match why {
        NoProbe::NothingToRead => ("not called: it has no method that reads without a body".to_owned(), None),
        NoProbe::ProjectUnknown => (
            "not called".to_owned(),
            Some(format!("upstreams.{key}: a project is needed to read in; say --project PROJECT")),
        ),
        NoProbe::Unfit(error) => {
            ("not called".to_owned(), Some(format!("upstreams.{key}: {}", printable(&error.told()))))
        }
    };
    let row = [key.to_owned(), section.credentials.kind().to_owned(), String::new(), answer, String::new()];
    Finding { row, problem }
}

fn problem(key: &str, section: &Section, request: &str, error: &Error) -> String {
    let mut text =
        format!("upstreams.{key}: {request}: {}: {}", error.code().name(), printable(&error.told()));
    if let Some(way_out) = way_out(section, error) {
        // Writing to a string does not fail.
        let _ = write!(text, "\n    {way_out}");
    }
    text
}

/// Says what somebody can do about it.
fn way_out(section: &Section, error: &Error) -> Option<&'static str> {
    let no_token = error.metadata().iter().any(|(key, _)| *key == "credentials");
    Some(match (error.code(), &section.credentials) {
        (Code::Unavailable, Credentials::Adc) if no_token => {
            "Log in with `gcloud auth application-default login`, point GOOGLE_APPLICATION_CREDENTIALS to a key file, or run \
             where a service account is attached."
        }
        (Code::Unavailable | Code::DeadlineExceeded, _) => {
            "Check upstreams.*.endpoint, tls, and the network between here and there."
        }
        (Code::Unauthenticated, Credentials::None) => {
            r#"It asks for a credential: set credentials to "adc", "token" or "caller"."#
        }
        (Code::Unauthenticated, Credentials::Token(_)) => {
            "The token is wrong or has expired: renew it. Access tokens of Google's last an hour; \
             credentials = \"adc\" renews its own."
        }
        (Code::Unauthenticated, Credentials::Adc) => {
            "Log in again with `gcloud auth application-default login`, or renew the key file."
        }
        (Code::Unauthenticated, Credentials::Caller) => "Renew the token in --token-file.",
        (Code::PermissionDenied, _) => {
            "Enable the API in the project, give the account behind the credential a role that may read there, or name \
             another project with --project."
        }
        (Code::NotFound | Code::InvalidArgument, _) => "Name another place with --project and --location.",
        _ => return None,
    })
}

/// Makes words of others fit for a terminal: no control characters, and an end.
fn printable(text: &str) -> String {
    let mut clean: String =
        text.chars().take(WORDS_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(WORDS_CHARS_MAX).is_some() {
        clean.push('…');
    }
    clean
}

/// Reads the token that a caller would show. The error does not show it.
fn authorization(path: &Path) -> Result<HeaderValue, io::Error> {
    let wrong = |why: String| io::Error::other(format!("--token-file {}: {why}", path.display()));
    let mut text = String::new();
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    file.take(TOKEN_BYTES_MAX).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("a token is printable ASCII without spaces, and not empty".to_owned()));
    }
    let mut value =
        HeaderValue::try_from(format!("Bearer {token}")).expect("printable ASCII is a header value");
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_steer_no_terminal_and_have_an_end() {
        assert_eq!(printable("a\u{1b}[2Jb\nc"), "a [2Jb c");
        let long = printable(&"ü".repeat(10_000));
        assert_eq!(long.chars().count(), WORDS_CHARS_MAX + 1);
    }
}
