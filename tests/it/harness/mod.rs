//! Boots the real gateway on a free port, in front of upstreams that do what a story tells them.

mod client;
mod database;
mod descriptors;
mod gateway;
mod issuer;
mod keys;
mod postgres;
mod process;
mod redis;
mod scripted;

pub(crate) use client::{Connection, Response, attempt};
pub(crate) use database::{Database, Link};
pub(crate) use descriptors::{bytes, library_file, pool};
pub(crate) use gateway::Gateway;
pub(crate) use issuer::{Issuer, Publishes, Signer, b64};
pub(crate) use keys::{Keyring, bearer, make_key};
pub(crate) use postgres::Postgres;
pub(crate) use process::{Process, causeway};
pub(crate) use redis::{Cluster, Redis, Tls};
pub(crate) use scripted::{Answer, Call, Scripted};
