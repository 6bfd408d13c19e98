//! One server: a connection that makes itself again, and the breaker over it.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use redis::{
    Client, ConnectionInfo, Pipeline, RedisResult, ServerError, ServerErrorKind, TlsCertificates, Value,
    aio::{ConnectionLike as _, ConnectionManager, ConnectionManagerConfig, PubSub},
};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Away, BREATH, BUDGET, CONNECT_TIME_MAX, FAILURES_MAX, PAUSE, Weight};
use crate::workers::Home;

/// One server of Redis.
pub(super) struct Node {
    client: Client,
    manager: ConnectionManager,
    home: Home,
    failures: AtomicU32,
    /// Until when it is left alone: by all, and by those for whom nothing depends on being heard.
    pause_until: Mutex<Option<Instant>>,
    rest_until: Mutex<Option<Instant>>,
}

impl Node {
    /// Prepares the link; connects when it is first used, at `home`. Certificates count with TLS only.
    pub(super) fn new(place: ConnectionInfo, tls: Option<&TlsCertificates>, home: Home) -> RedisResult<Self> {
        let config = ConnectionManagerConfig::new()
            .set_max_delay(CONNECT_TIME_MAX)
            .set_number_of_retries(1)
            .set_connection_timeout(Some(CONNECT_TIME_MAX))
            .set_response_timeout(Some(BUDGET));
        let client = match tls {
            Some(tls) => Client::build_with_tls(place, tls.clone())?,
            None => Client::open(place)?,
        };
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config)?;
        let (failures, pause_until, rest_until) = Default::default();
        Ok(Self { client, manager, home, failures, pause_until, rest_until })
    }

    /// Says how it is reached, and how others like it are.
    pub(super) fn place(&self) -> &ConnectionInfo {
        self.client.get_connection_info()
    }

    /// Gives it commands in one round trip, and returns as many answers. Those may be refusals that say nothing against the
    /// server: `MOVED`, `ASK`, `NOSCRIPT`, `WRONGTYPE`.
    ///
    /// # Errors
    /// [`Away`]: no answer by `end`, or one that says that it cannot serve.
    pub(super) async fn ask(
        &self,
        commands: &Pipeline,
        end: Instant,
        weight: Weight,
    ) -> Result<Vec<Value>, Away> {
        if self.is_away(weight) {
            return Err(Away);
        }
        // What had less, the rest of another's time, may be slow and no worse.
        let had_all = end.saturating_duration_since(Instant::now()) > BUDGET * 3 / 4;
        let mut manager = self.manager.clone();
        let asked = manager.req_packed_commands(commands, 0, commands.len());
        let answers = timeout_at(end, self.home.owns(asked)).await;
        match answers {
            Ok(Ok(answers)) => match answers.iter().find_map(grave) {
                Some(error) => Err(self.failed(error)),
                None => {
                    self.failures.store(0, Ordering::Relaxed);
                    Ok(answers)
                }
            },
            Ok(Err(error)) => {
                if error.is_timeout() && had_all {
                    put_off(&self.rest_until, BREATH);
                }
                Err(self.failed(&error))
            }
            Err(_) => {
                if had_all {
                    put_off(&self.rest_until, BREATH);
                }
                Err(self.failed(&"no answer in time"))
            }
        }
    }

    /// Begins to hear what is told on a channel, on a connection of its own.
    pub(super) async fn subscribe(&self, channel: &str) -> Option<PubSub> {
        let subscribed = timeout(CONNECT_TIME_MAX, async {
            let mut subscription = self.client.get_async_pubsub().await?;
            subscription.subscribe(channel).await?;
            RedisResult::Ok(subscription)
        });
        subscribed.await.ok()?.ok()
    }

    /// Whether it is left alone for now with what is of such a weight.
    pub(super) fn is_away(&self, weight: Weight) -> bool {
        is_ahead(&self.pause_until) || (weight == Weight::Light && is_ahead(&self.rest_until))
    }

    fn failed(&self, why: &dyn fmt::Display) -> Away {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES_MAX {
            self.failures.store(0, Ordering::Relaxed);
            put_off(&self.pause_until, PAUSE);
            let server = self.place().addr();
            tracing::warn!(%server, error = %why, pause_ms = PAUSE.as_millis(), "Redis is away; going on without it");
        }
        Away
    }
}

fn is_ahead(until: &Mutex<Option<Instant>>) -> bool {
    until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
}

fn put_off(until: &Mutex<Option<Instant>>, time: Duration) {
    *until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + time);
}

/// Finds the refusal that speaks against the server and not the command.
fn grave(answer: &Value) -> Option<&ServerError> {
    let Value::ServerError(error) = answer else { return None };
    let is_harmless = matches!(
        error.kind(),
        Some(ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::NoScript)
    ) || error.code() == "WRONGTYPE";
    (!is_harmless).then_some(error)
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo as _;

    use super::*;

    /// A request that asked for several things waited for each of them.
    #[tokio::test]
    async fn a_server_that_is_silent_is_waited_for_once() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let place = format!("redis://{}", silent.local_addr().unwrap()).into_connection_info().unwrap();
        let node = Node::new(place, None, Home::here()).unwrap();
        let mut commands = Pipeline::new();
        commands.cmd("PING");
        let waited = async |time, weight| {
            let began = Instant::now();
            assert!(node.ask(&commands, began + time, weight).await.is_err());
            began.elapsed() >= time
        };
        assert!(waited(BUDGET / 2, Weight::Light).await);
        assert!(waited(BUDGET, Weight::Light).await, "it had half of the time");
        assert!(!waited(BUDGET, Weight::Light).await);
        // What others must hear of is tried all the same.
        assert!(waited(BUDGET, Weight::Heavy).await);
    }
}
