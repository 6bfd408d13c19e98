//! Who converts.

use std::{fmt, hint::black_box, sync::OnceLock};

use causeway::{
    pb,
    schema::Pool,
    transcode::{JsonOptions, Transcoder, UnknownFields},
};
use prost_reflect::{DynamicMessage, prost::Message as _};

use crate::pages::Page;

/// From what to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Bytes to JSON.
    Print,
    /// JSON to bytes.
    Read,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Print => "bytes → JSON,",
            Self::Read => "JSON → bytes,",
        })
    }
}

/// A way to convert a page.
pub(crate) struct Contestant<'p> {
    pub(crate) name: &'static str,
    pub(crate) direction: Direction,
    /// Converts once, and returns how long the result is.
    pub(crate) convert: Box<dyn FnMut() -> usize + 'p>,
}

pub(crate) const OURS: &str = "causeway";
pub(crate) const REFERENCE: &str = "prost-reflect + serde_json";
pub(crate) const GENERATED: &str = "prost + pbjson";

/// Returns everybody who can convert a page.
pub(crate) fn contestants(page: &Page) -> Vec<Contestant<'_>> {
    use Direction::{Print, Read};
    let plan = transcoder().message(page.descriptor.full_name()).expect("we know what the reference knows");
    let same = plan.clone();
    let mut all: Vec<Contestant<'_>> = vec![
        Contestant {
            name: OURS,
            direction: Print,
            convert: Box::new(move || {
                let mut out = Vec::new();
                let done = plan.to_json(black_box(&page.wire), &JsonOptions::default(), &mut out);
                done.expect("the page is sound");
                black_box(out).len()
            }),
        },
        Contestant {
            name: REFERENCE,
            direction: Print,
            convert: Box::new(|| {
                let message =
                    DynamicMessage::decode(page.descriptor.clone(), black_box(page.wire.as_slice()));
                let message = message.expect("the page is sound");
                black_box(serde_json::to_vec(&message).expect("the page can be printed")).len()
            }),
        },
        Contestant {
            name: OURS,
            direction: Read,
            convert: Box::new(move || {
                let parsed = same.to_wire(black_box(&page.json), UnknownFields::Reject);
                black_box(parsed.expect("the page is sound").bytes).len()
            }),
        },
        Contestant {
            name: REFERENCE,
            direction: Read,
            convert: Box::new(|| {
                let mut json = serde_json::Deserializer::from_slice(black_box(&page.json));
                let message = DynamicMessage::deserialize(page.descriptor.clone(), &mut json);
                black_box(message.expect("the page is sound").encode_to_vec()).len()
            }),
        },
    ];
    if page.plain {
        all.extend(generated(page));
    }
    all
}

#[cfg(feature = "peers")]
fn generated(page: &Page) -> Vec<Contestant<'_>> {
    use crate::generated::ListConnectionsResponse;
    vec![
        Contestant {
            name: GENERATED,
            direction: Direction::Print,
            convert: Box::new(|| {
                let message = ListConnectionsResponse::decode(black_box(page.wire.as_slice()));
                let json = serde_json::to_vec(&message.expect("the page is sound"));
                black_box(json.expect("the page can be printed")).len()
            }),
        },
        Contestant {
            name: GENERATED,
            direction: Direction::Read,
            convert: Box::new(|| {
                let message: ListConnectionsResponse =
                    serde_json::from_slice(black_box(&page.json)).expect("the page is sound");
                black_box(message.encode_to_vec()).len()
            }),
        },
    ]
}

#[cfg(not(feature = "peers"))]
fn generated(_: &Page) -> Vec<Contestant<'_>> {
    Vec::new()
}

fn transcoder() -> &'static Transcoder {
    static TRANSCODER: OnceLock<Transcoder> = OnceLock::new();
    TRANSCODER.get_or_init(|| {
        let pool = Pool::load(&[("ours", pb::DESCRIPTOR_SET)]).expect("our own descriptors are sound");
        Transcoder::new(&pool)
    })
}
