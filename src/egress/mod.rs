//! Outbound HTTP: no redirects, no proxy from the environment, every answer bounded in bytes and time.
//!
//! - [`Fetcher`]: reads a document from an address that the operator named, such as an issuer's keys.
//!
//! The operator may name any address, inside his own network too; an address that a caller names must be vetted before it
//! is connected to, and is none of this type's business.

mod fetch;

pub use fetch::Fetcher;
