//! The one link to Redis: what replicas share and can do without.
//!
//! Nothing in Redis is the truth, so nothing waits for it: every command has [`BUDGET`], and after [`FAILURES_MAX`]
//! failures in a row it is left alone for [`PAUSE`], in which every command fails at once. What to do without it is the
//! business of who asks; [`Away`] is all that is told, and the log has the reason.
//!
//! The connection is made in the background and again when it is lost, so the gateway starts without Redis.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt as _;
use redis::{
    Client, Cmd, FromRedisValue, RedisFuture, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    config::SecretUrl,
    error::{Error, Result},
};

/// How long a command may take.
pub const BUDGET: Duration = Duration::from_millis(50);
/// Failures in a row until Redis is left alone.
pub const FAILURES_MAX: u32 = 5;
/// How long it is then left alone.
pub const PAUSE: Duration = Duration::from_secs(2);
/// How long connecting may take, and the longest wait between two tries.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// The link. Cheap to share by `Arc`.
pub struct Kv {
    client: Client,
    manager: ConnectionManager,
    failures: AtomicU32,
    pause_until: Mutex<Option<Instant>>,
}

/// Redis did not answer in time, or is left alone for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away;

/// A Lua script, loaded by its hash.
#[derive(Debug)]
pub struct Script(redis::Script);

impl Kv {
    /// Prepares the link; connects when it is first used.
    ///
    /// # Errors
    /// The URL cannot be read.
    pub fn new(url: &SecretUrl) -> Result<Self> {
        let wrong = |error: redis::RedisError| {
            // Not the error's own text, which may repeat the URL and the password in it.
            Error::invalid_field("redis.url", format!("{url} cannot be used ({})", error.category()))
        };
        let config = ConnectionManagerConfig::new()
            .set_max_delay(CONNECT_TIME_MAX)
            .set_number_of_retries(1)
            .set_connection_timeout(Some(CONNECT_TIME_MAX))
            .set_response_timeout(Some(BUDGET));
        let client = Client::open(url.expose()).map_err(wrong)?;
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(wrong)?;
        Ok(Self { client, manager, failures: AtomicU32::new(0), pause_until: Mutex::new(None) })
    }

    /// Runs one command.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Away> {
        let mut manager = self.manager.clone();
        self.within_budget(Box::pin(async move { command.query_async(&mut manager).await })).await
    }

    /// Runs a script on one key.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn script<T: FromRedisValue + Send>(
        &self,
        script: &Script,
        key: &str,
        arguments: &[u64],
    ) -> Result<T, Away> {
        let mut manager = self.manager.clone();
        let call = async move {
            let mut invocation = script.0.prepare_invoke();
            invocation.key(key).arg(arguments);
            invocation.invoke_async(&mut manager).await
        };
        self.within_budget(Box::pin(call)).await
    }

    /// Reads the values of several keys; what is not there, or is no string, is `None`.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn values(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Away> {
        self.run(redis::cmd("MGET").arg(keys)).await
    }

    /// Reads the value of a key.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn value(&self, key: &str) -> Result<Option<Vec<u8>>, Away> {
        self.run(redis::cmd("GET").arg(key)).await
    }

    /// Sets the values of keys, each for as long as given, in one round trip; all of them or, after an error, perhaps some.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn set(&self, values: &[(String, &[u8])], life: Duration) -> Result<(), Away> {
        let mut manager = self.manager.clone();
        let millis = u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut pipeline = redis::pipe();
        for (key, value) in values {
            pipeline.cmd("SET").arg(key).arg(*value).arg("PX").arg(millis).ignore();
        }
        self.within_budget(Box::pin(async move { pipeline.query_async(&mut manager).await })).await
    }

    /// Forgets a key.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn forget(&self, key: &str) -> Result<(), Away> {
        self.run(redis::cmd("UNLINK").arg(key)).await
    }

    /// Tells whoever listens to a channel. Nobody may, and then nothing is kept.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn publish(&self, channel: &str, message: &[u8]) -> Result<(), Away> {
        self.run(redis::cmd("PUBLISH").arg(channel).arg(message)).await
    }

    /// Passes on what is told on a channel, until `stop` is cancelled. What is told while the link is down is lost; it is
    /// made again every [`PAUSE`].
    pub async fn listen(&self, channel: &str, stop: &CancellationToken, mut heard: impl FnMut(&[u8])) {
        let hear = async {
            loop {
                let subscribed = timeout(CONNECT_TIME_MAX, async {
                    let mut subscription = self.client.get_async_pubsub().await?;
                    subscription.subscribe(channel).await?;
                    Ok::<_, redis::RedisError>(subscription)
                });
                if let Ok(Ok(subscription)) = subscribed.await {
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

    /// Whether it is left alone for now.
    pub fn is_away(&self) -> bool {
        let pause = self.pause_until.lock().unwrap_or_else(PoisonError::into_inner);
        pause.is_some_and(|until| Instant::now() < until)
    }

    async fn within_budget<T>(&self, call: RedisFuture<'_, T>) -> Result<T, Away> {
        if self.is_away() {
            return Err(Away);
        }
        let answer: Option<RedisResult<T>> = timeout(BUDGET, call).await.ok();
        match answer {
            Some(Ok(value)) => {
                self.failures.store(0, Ordering::Relaxed);
                Ok(value)
            }
            Some(Err(error)) => Err(self.failed(&error)),
            None => Err(self.failed(&"no answer in time")),
        }
    }

    fn failed(&self, why: &dyn fmt::Display) -> Away {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES_MAX {
            self.failures.store(0, Ordering::Relaxed);
            let mut pause = self.pause_until.lock().unwrap_or_else(PoisonError::into_inner);
            *pause = Some(Instant::now() + PAUSE);
            tracing::warn!(error = %why, pause_ms = PAUSE.as_millis(), "Redis is away; going on without it");
        }
        Away
    }
}

impl fmt::Debug for Kv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kv").field("away", &self.is_away()).finish_non_exhaustive()
    }
}

impl Script {
    /// Takes the text of a script.
    pub fn new(text: &str) -> Self {
        Self(redis::Script::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_redis_that_is_not_there_costs_little_and_then_nothing() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = crate::config::SecretUrl::new(format!("redis://:secret@{nobody}"));
        let kv = Kv::new(&url).unwrap();
        let started = Instant::now();
        for _ in 0..FAILURES_MAX {
            assert_eq!(kv.run::<()>(&redis::cmd("PING")).await, Err(Away));
        }
        assert!(started.elapsed() < BUDGET * (FAILURES_MAX + 2), "{:?}", started.elapsed());
        assert!(kv.is_away());
        let again = Instant::now();
        assert_eq!(kv.run::<()>(&redis::cmd("PING")).await, Err(Away));
        assert!(again.elapsed() < Duration::from_millis(5));
    }

    #[test]
    fn a_wrong_url_is_told_without_its_password() {
        let error = Kv::new(&crate::config::SecretUrl::new("redis://:hunter2@:::".to_owned()));
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
