//! The one link to Redis: what replicas share and can do without.
//!
//! Nothing in Redis is the truth, so nothing waits for it: every command has [`BUDGET`]. A server that did not answer in
//! that time is left alone for [`BREATH`] with what nothing depends on, and after [`FAILURES_MAX`] failures in a row for
//! [`PAUSE`] with everything: a command for it then fails at once. What to do without it is the business of who asks;
//! [`Away`] is all that is told, and the log has the reason.
//!
//! - `node`: one server, its connection and its breaker.
//! - `cluster`: many, of which each has some of the keys; `slots` says which.
//!
//! Connections are made when they are needed and again when they are lost, so the gateway starts without Redis. It knows
//! neither what it carries nor how keys are called: a command names one key, and nothing depends on two being together.

mod cluster;
mod node;
mod slots;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt as _;
use redis::{
    ClientTlsConfig, Cmd, FromRedisValue, IntoConnectionInfo as _, Pipeline, RedisError, ServerErrorKind,
    TlsCertificates, Value,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::{cluster::Cluster, node::Node};
use crate::{
    config::{RedisTls, RedisUrl},
    crypto::{Pem, read_pem},
    error::{Error, Result},
    workers::Home,
};

/// How long a command may take.
pub const BUDGET: Duration = Duration::from_millis(50);
/// Failures in a row until a server is left alone.
pub const FAILURES_MAX: u32 = 5;
/// How long a server is left alone that did not answer once: whoever asks several things for one request waits once.
pub const BREATH: Duration = BUDGET;
/// How long it is left alone after [`FAILURES_MAX`].
pub const PAUSE: Duration = Duration::from_secs(2);
/// How long connecting may take, and the longest wait between two tries.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// The link. Cheap to share by `Arc`.
pub struct Kv {
    servers: Servers,
    /// Whether the log says already that the one server is part of a cluster.
    has_hinted: AtomicBool,
}

enum Servers {
    One(Arc<Node>),
    Many(Box<Cluster>),
}

/// A command, and the key that says who is to be given it.
struct Question {
    key: String,
    command: Cmd,
    weight: Weight,
}

/// How much depends on a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Whoever asks does without: not worth trying where another has just waited in vain.
    Light,
    /// What other replicas do depends on it.
    Heavy,
}

/// Redis did not answer in time, or is left alone for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away;

/// A Lua script, which Redis is told once and then knows by its hash.
#[derive(Debug)]
pub struct Script {
    text: String,
    hash: String,
}

impl Kv {
    /// Prepares the link; connects when it is first used. Certificates are read here.
    ///
    /// # Errors
    /// The URL cannot be used, or a certificate not be read.
    pub fn new(url: &RedisUrl, tls: &RedisTls) -> Result<Self> {
        let wrong = |error: RedisError| {
            // Not the error's own text, which may repeat the URL and the password in it.
            Error::invalid_field("redis.url", format!("{url} cannot be used ({})", error.category()))
        };
        let (certificates, home) = (certificates(tls)?, Home::here());
        let mut nodes = Vec::with_capacity(url.nodes().len());
        for node in url.nodes() {
            let place = node.expose().into_connection_info().map_err(wrong)?;
            nodes.push(Node::new(place, certificates.as_ref(), home.clone()).map_err(wrong)?);
        }
        let one = nodes.pop().expect("a URL names at least one server");
        let servers = match url.is_cluster() {
            true => Servers::Many(Box::new(Cluster::new(one, nodes, home))),
            false => Servers::One(Arc::new(one)),
        };
        Ok(Self { servers, has_hinted: AtomicBool::new(false) })
    }

    /// Runs a script on one key.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn script<T: FromRedisValue>(
        &self,
        script: &Script,
        key: &str,
        arguments: &[u64],
    ) -> Result<T, Away> {
        let end = Instant::now() + BUDGET;
        let call = |verb: &str, what: &str| {
            let mut command = redis::cmd(verb);
            command.arg(what).arg(1).arg(key).arg(arguments);
            Question { key: key.to_owned(), command, weight: Weight::Light }
        };
        let mut answer = self.ask_one(call("EVALSHA", &script.hash), end).await?;
        if is_refusal(&answer, ServerErrorKind::NoScript) {
            answer = self.ask_one(call("EVAL", &script.text), end).await?;
        }
        redis::from_redis_value(answer).map_err(|_| Away)
    }

    /// Reads the values of several keys, in one round trip; what is not there, or is no string, is `None`, and what is with a
    /// server that is gone is [`Away`].
    pub async fn values(&self, keys: &[String]) -> Vec<Result<Option<Vec<u8>>, Away>> {
        let end = Instant::now() + BUDGET;
        if let (Servers::One(_), Some(first)) = (&self.servers, keys.first()) {
            let mut command = redis::cmd("MGET");
            command.arg(keys);
            let question = Question { key: first.clone(), command, weight: Weight::Light };
            let answer = self.ask_one(question, end).await;
            return match answer {
                Ok(Value::Array(values)) if values.len() == keys.len() => {
                    values.into_iter().map(|value| Ok(string(value))).collect()
                }
                _ => vec![Err(Away); keys.len()],
            };
        }
        let read = |key: &String| Question::new("GET", key);
        let answers = self.ask(keys.iter().map(read).collect(), end).await;
        answers.into_iter().map(|answer| answer.map(string)).collect()
    }

    /// Reads the value of a key.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn value(&self, key: &str) -> Result<Option<Vec<u8>>, Away> {
        self.ask_one(Question::new("GET", key), Instant::now() + BUDGET).await.map(string)
    }

    /// Sets the values of keys, each for as long as given, in one round trip to each node. Returns which are known to be set.
    pub async fn set(&self, values: &[(String, &[u8])], life: Duration, weight: Weight) -> Vec<bool> {
        let millis = u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1);
        let write = |(key, value): &(String, &[u8])| {
            let mut question = Question { weight, ..Question::new("SET", key) };
            question.command.arg(*value).arg("PX").arg(millis);
            question
        };
        let answers = self.ask(values.iter().map(write).collect(), Instant::now() + BUDGET).await;
        answers.iter().map(|answer| *answer == Ok(Value::Okay)).collect()
    }

    /// Forgets a key.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn forget(&self, key: &str) -> Result<(), Away> {
        self.ask_one(Question::new("UNLINK", key), Instant::now() + BUDGET).await.map(drop)
    }

    /// Tells whoever listens to a channel, at any node. Nobody may, and then nothing is kept.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn publish(&self, channel: &str, message: &[u8]) -> Result<(), Away> {
        let end = Instant::now() + BUDGET;
        let mut question = Question { weight: Weight::Heavy, ..Question::new("PUBLISH", channel) };
        question.command.arg(message);
        match &self.servers {
            Servers::One(_) => self.ask_one(question, end).await.map(drop),
            Servers::Many(cluster) => cluster.ask_any(&question, end).await.map(drop),
        }
    }

    /// Passes on what is told on a channel, until `stop` is cancelled. What is told while the link is down is lost; it is
    /// made again with the next node at once and, after the last, with the first every [`PAUSE`].
    pub async fn listen(&self, channel: &str, stop: &CancellationToken, mut heard: impl FnMut(&[u8])) {
        let hear = async {
            loop {
                let nodes = match &self.servers {
                    Servers::One(node) => vec![node.clone()],
                    Servers::Many(cluster) => cluster.nodes(),
                };
                for node in nodes {
                    let Some(subscription) = node.subscribe(channel).await else { continue };
                    let mut messages = subscription.into_on_message();
                    while let Some(message) = messages.next().await {
                        heard(message.get_payload_bytes());
                    }
                }
                sleep(PAUSE).await;
            }
        };
        stop.run_until_cancelled(hear).await;
    }

    /// Whether it is left alone for now with what is of such a weight, a cluster as a whole.
    pub fn is_away(&self, weight: Weight) -> bool {
        match &self.servers {
            Servers::One(node) => node.is_away(weight),
            Servers::Many(cluster) => cluster.is_away(weight),
        }
    }

    /// Asks everything in one round trip, and returns an answer for each.
    async fn ask(&self, questions: Vec<Question>, end: Instant) -> Vec<Result<Value, Away>> {
        let count = questions.len();
        let node = match &self.servers {
            _ if count == 0 => return Vec::new(),
            Servers::Many(cluster) => return cluster.ask(&questions, end).await,
            Servers::One(node) => node,
        };
        let weight = heaviest(&questions);
        let mut commands = Pipeline::with_capacity(count);
        for question in questions {
            commands.add_command(question.command);
        }
        let Ok(answers) = node.ask(&commands, end, weight).await else { return vec![Err(Away); count] };
        if answers.iter().any(|answer| is_refusal(answer, ServerErrorKind::Moved)) {
            self.hint();
            return vec![Err(Away); count];
        }
        answers.into_iter().map(Ok).collect()
    }

    async fn ask_one(&self, question: Question, end: Instant) -> Result<Value, Away> {
        self.ask(vec![question], end).await.pop().ok_or(Away)?
    }

    fn hint(&self) {
        if !self.has_hinted.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "this Redis is a node of a cluster; redis.url begins with redis+cluster:// or rediss+cluster://"
            );
        }
    }
}

impl fmt::Debug for Kv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kv").field("away", &self.is_away(Weight::Heavy)).finish_non_exhaustive()
    }
}

impl Question {
    /// A light command whose first argument is its key.
    fn new(verb: &str, key: &str) -> Self {
        let mut command = redis::cmd(verb);
        command.arg(key);
        Self { key: key.to_owned(), command, weight: Weight::Light }
    }
}

/// Returns the weight of what is asked together.
fn heaviest(questions: &[Question]) -> Weight {
    questions.iter().map(|question| question.weight).max().unwrap_or(Weight::Light)
}

impl Script {
    /// Takes the text of a script.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), hash: redis::Script::new(text).get_hash().to_owned() }
    }
}

fn is_refusal(answer: &Value, kind: ServerErrorKind) -> bool {
    matches!(answer, Value::ServerError(error) if error.kind() == Some(kind))
}

fn string(answer: Value) -> Option<Vec<u8>> {
    match answer {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

/// Reads what the configuration names; `None`: nothing is.
fn certificates(tls: &RedisTls) -> Result<Option<TlsCertificates>> {
    let read = |field: &'static str, file: &Path, holds| {
        read_pem(file, holds).map_err(|why| Error::invalid_field(field, why))
    };
    let root_cert = match &tls.ca_file {
        Some(file) => Some(read("redis.tls.ca_file", file, Pem::Certificate)?),
        None => None,
    };
    let client_tls = match &tls.client {
        Some(client) => Some(ClientTlsConfig {
            client_cert: read("redis.tls.certificate", &client.certificate, Pem::Certificate)?,
            client_key: read("redis.tls.key", &client.key, Pem::PrivateKey)?,
        }),
        None => None,
    };
    let is_named = root_cert.is_some() || client_tls.is_some();
    Ok(is_named.then_some(TlsCertificates { client_tls, root_cert }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_redis_that_is_not_there_costs_little_and_then_nothing() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = RedisUrl::parse(&format!("redis://:secret@{nobody}")).unwrap();
        let kv = Kv::new(&url, &RedisTls::default()).unwrap();
        let started = Instant::now();
        for _ in 0..FAILURES_MAX {
            assert_eq!(kv.forget("k").await, Err(Away));
        }
        assert!(started.elapsed() < BUDGET * (FAILURES_MAX + 2), "{:?}", started.elapsed());
        assert!(kv.is_away(Weight::Light));
        let again = Instant::now();
        assert_eq!(kv.forget("k").await, Err(Away));
        assert!(again.elapsed() < Duration::from_millis(5));
        // What others must hear of is tried on, until it has failed as often.
        for _ in 0..FAILURES_MAX {
            assert_eq!(kv.publish("c", b"m").await, Err(Away));
        }
        assert!(started.elapsed() < BUDGET * (FAILURES_MAX * 2 + 2), "{:?}", started.elapsed());
        assert!(kv.is_away(Weight::Heavy));
    }

    #[tokio::test]
    async fn a_cluster_that_is_not_there_costs_little_and_then_nothing() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = RedisUrl::parse(&format!("redis+cluster://{nobody},{nobody}")).unwrap();
        let kv = Kv::new(&url, &RedisTls::default()).unwrap();
        let started = Instant::now();
        for _ in 0..FAILURES_MAX {
            assert_eq!(kv.values(&["a".to_owned(), "b".to_owned()]).await, [Err(Away), Err(Away)]);
        }
        assert!(started.elapsed() < BUDGET * (FAILURES_MAX + 2), "{:?}", started.elapsed());
        assert!(kv.is_away(Weight::Light));
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_told_without_its_password() {
        let url = RedisUrl::parse("redis://:hunter2@cache/notanumber").unwrap();
        let error = format!("{:?}", Kv::new(&url, &RedisTls::default()));
        assert!(error.contains("redis.url") && !error.contains("hunter2"), "{error}");
        let url = RedisUrl::parse("rediss://cache").unwrap();
        let tls = RedisTls { ca_file: Some("/no/such.pem".into()), client: None };
        let error = format!("{:?}", Kv::new(&url, &tls));
        assert!(error.contains("redis.tls.ca_file") && error.contains("/no/such.pem"), "{error}");
    }
}
