//! What a request may weigh. The HTTP parser's own limits are mostly wider, so that ours answer first, and say more.

use std::time::Duration;

/// Bytes of path and query.
pub const URL_BYTES_MAX: usize = 16 * 1024;

/// Header lines.
pub const HEADERS_MAX: usize = 100;

/// Bytes of all header names and values.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;

/// How long a body may take to arrive.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(60);

/// How much of an unwanted body is read and dropped, so that a client that writes before it reads gets its answer
/// and the connection stays usable. What is longer closes the connection.
pub const DISCARD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long an unwanted body may take to arrive.
pub const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// Characters of a request id that we take over from the caller.
pub const REQUEST_ID_MAX: usize = 128;

/// Bytes of one response header of ours that lists things (ignored fields, unknown types).
pub const LIST_HEADER_BYTES_MAX: usize = 1024;

/// Response bodies below this many bytes are not worth compressing.
pub const COMPRESS_BYTES_MIN: usize = 1024;

/// How many bytes are compressed in one go, between two yields to other requests.
pub const COMPRESS_CHUNK_BYTES: usize = 64 * 1024;

/// Header lines that the HTTP/1 parser takes: as many as it has places for on its stack. With more it would ask for sixteen
/// kilobytes of heap for each request. What has too many it refuses itself (see `refusal`).
pub(super) const PARSER_HEADERS_MAX: usize = HEADERS_MAX;

/// Bytes of a request head, and of unsent response, that HTTP/1 buffers per connection at most.
pub(super) const PARSER_BUFFER_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a decoded header list that HTTP/2 takes.
pub(super) const PARSER_HEADER_LIST_BYTES_MAX: u32 = 128 * 1024;

/// Bytes of a request body that wait on one HTTP/2 stream, and of all on one connection: bodies that nobody reads yet hold
/// up no others, until there are sixteen of them.
pub(super) const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
pub(super) const CONNECTION_WINDOW_BYTES: u32 = 16 * STREAM_WINDOW_BYTES;

/// How long an HTTP/2 connection without a request is kept when the gateway stops: for its peer to take what was handed over
/// last, and to say goodbye.
pub(super) const FAREWELL_TIME_MAX: Duration = Duration::from_secs(5);

/// Requests in flight on one HTTP/2 connection.
pub(super) const STREAMS_PER_CONNECTION_MAX: u32 = 200;

/// How long a started request head, or a TLS handshake, may take.
pub(super) const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// Bytes of an answer that are handed to the connection at once.
pub(super) const PIECE_BYTES_MAX: usize = 32 * 1024;

/// Streams of one HTTP/2 connection that are reset for what its peer does. What still comes for requests that were refused
/// early counts here too; a proxy sends those of many callers, and beyond this all of them are cut off.
pub(super) const RESETS_MAX: usize = 1_000_000;

/// Bytes of the bodies of requests that are held at once, over all connections; beyond that requests are refused.
pub(super) const BODIES_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Bytes of answers that their readers have not taken yet, over all connections; beyond that requests are refused. The second is
/// for what everybody may read, so that nobody unknown can have others refused.
pub const UNREAD_BYTES_MAX: [usize; 2] = [512 * 1024 * 1024, 64 * 1024 * 1024];

/// Operations and collections that are watched at once, over all connections.
pub const WATCHERS_MAX: usize = 1000;

/// How long a client may leave an answer unread before the connection, or the HTTP/2 stream, is dropped.
pub(super) const STALL_TIME_MAX: Duration = Duration::from_secs(60);
