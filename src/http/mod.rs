//! HTTP in: the listener, what every request goes through, and how answers are printed. The only module that knows hyper.
//!
//! - [`Listener`] accepts, `connection` speaks HTTP/1.1 or HTTP/2, `watch` and `stall` drop peers that do nothing.
//! - [`Server`] is what requests share; `edge` is what each goes through, in order.
//! - `proxied` answers from an upstream, `pages` does so with pages that may be kept, `stream` message by message; `own`
//!   answers by itself. `conditional` sends no body to who has it already.
//! - [`openapi`] describes all of it.
//! - `error` prints the one envelope, `status` is the one table of codes, `repeats` keeps the log of an outage short.
//!
//! What holds: every answer carries a request id and every failure is an envelope, also what the HTTP/1 parser refuses (see
//! `refusal`; only that of HTTP/2 resets its stream, or ends it with a bare status); a request of the caller's making never
//! becomes a 500; nothing waits, grows or repeats without a limit of [`limits`].
//!
//! It deliberately holds no rule about upstreams or messages (see `gateway`), and no state between requests.

mod body;
mod conditional;
mod connection;
mod details;
mod edge;
mod error;
mod feed;
mod idempotency;
mod in_flight;
pub mod limits;
mod listener;
mod metrics;
mod negotiate;
pub mod openapi;
mod own;
mod pages;
mod proxied;
mod refusal;
mod repeats;
mod server;
mod stall;
mod status;
mod stream;
mod streams;
mod tls;
mod watch;

use ::http::{HeaderValue, Response, header};
use serde::Serialize;

use self::body::Body;

pub use self::{
    listener::Listener,
    own::audit_line,
    server::{About, Audit, Parts, Server, own_paths},
    status::of_error as status_of,
};

use self::server::Target;

/// What JSON answers say they are.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// Answers with a value of ours, as JSON.
fn json(value: &impl Serialize) -> Response<Body> {
    let text = serde_json::to_vec(value).expect("our values are made of what JSON can say");
    let mut response = Response::new(Body::full(text));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}
