//! Connections that wait for the next message to the same address.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::{
    connection::Connection,
    limits::{IDLE_MAX, IDLE_PER_ADDRESS_MAX, IDLE_TIME_MAX},
};

/// Where a connection leads: the judged address, and the name that its certificate was checked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) address: SocketAddr,
    pub(super) tls_name: Option<String>,
}

#[derive(Default)]
pub(super) struct Pool(Mutex<Idle>);

#[derive(Default)]
struct Idle {
    connections: HashMap<Key, Vec<Connection>>,
    count: usize,
    swept: Option<Instant>,
}

impl Pool {
    /// Takes a connection that was used a moment ago, if there is one.
    pub(super) fn take(&self, key: &Key) -> Option<Connection> {
        let mut idle = self.lock();
        loop {
            let connection = idle.connections.get_mut(key)?.pop();
            let Some(connection) = connection else {
                idle.connections.remove(key);
                return None;
            };
            idle.count -= 1;
            if connection.is_open() && connection.idle_since.elapsed() < IDLE_TIME_MAX {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection, if there is room.
    pub(super) fn give(&self, key: Key, mut connection: Connection) {
        connection.idle_since = Instant::now();
        let mut idle = self.lock();
        if idle.count >= IDLE_MAX || idle.swept.is_none_or(|at| at.elapsed() >= IDLE_TIME_MAX) {
            idle.sweep();
        }
        if idle.count >= IDLE_MAX {
            return;
        }
        let kept = idle.connections.entry(key).or_default();
        if kept.len() < IDLE_PER_ADDRESS_MAX {
            kept.push(connection);
            idle.count += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    /// Drops what is closed or too old.
    fn sweep(&mut self) {
        self.swept = Some(Instant::now());
        self.connections.retain(|_, kept| {
            kept.retain(|connection| connection.is_open() && connection.idle_since.elapsed() < IDLE_TIME_MAX);
            !kept.is_empty()
        });
        self.count = self.connections.values().map(Vec::len).sum();
    }
}
