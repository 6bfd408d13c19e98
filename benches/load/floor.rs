//! The floor: what two hops cost when nothing is done between them. One axum route, one unary tonic call with a codec of
//! bytes, constant bytes down. Only what talks HTTP/2 with less in between can be faster.
//!
//! With `reflect` it also does what a gateway of reflection does with bodies: `prost-reflect` and `serde_json`.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri, header, uri::PathAndQuery},
    response::{IntoResponse as _, Response},
    routing::any,
    serve::ListenerExt as _,
};
use bytes::{Buf as _, BufMut as _, Bytes};
use prost_reflect::{DynamicMessage, prost::Message as _};
use tokio::net::TcpListener;
use tonic::{
    Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

use super::payload::{Case, Outcome, Payload, in_name, printed};

/// The windows of the gateway's own calls, so that a large answer waits for neither.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

const BODY_MESSAGE: &str = "google.cloud.bigquery.connection.v1.Connection";

#[derive(Clone)]
struct Floor {
    channel: Channel,
    payload: Arc<Payload>,
    reflect: bool,
}

/// Serves until killed.
pub(crate) async fn run(listen: SocketAddr, upstream: &str, reflect: bool) -> Outcome {
    let channel = Endpoint::from_shared(upstream.to_owned())?
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .connect_lazy();
    let floor = Floor { channel, payload: Arc::new(Payload::load()?), reflect };
    let router = Router::new().route("/{mark}", any(answer)).with_state(floor);
    let listener = TcpListener::bind(listen).await?.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}

async fn answer(State(floor): State<Floor>, uri: Uri, body: Bytes) -> Response {
    let Some(case) = floor.payload.cases.iter().find(|case| case.mark == &uri.path()[1..]) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match call(&floor, case, &body).await {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn call(floor: &Floor, case: &Case, body: &Bytes) -> Outcome<Response> {
    let mut request = Vec::new();
    if floor.reflect && !body.is_empty() {
        let of = floor.payload.pool.get_message_by_name(BODY_MESSAGE).ok_or("no such message")?;
        let mut json = serde_json::Deserializer::from_slice(body);
        request = DynamicMessage::deserialize(of, &mut json)?.encode_to_vec();
    }
    request.extend_from_slice(in_name(case.mark).as_bytes());

    let mut grpc = Grpc::new(floor.channel.clone());
    grpc.ready().await?;
    let path = PathAndQuery::from_static("/causeway.bench.v1.Pages/Any");
    let answered: Result<tonic::Response<Bytes>, Status> =
        grpc.unary(tonic::Request::new(Bytes::from(request)), path, Raw).await;
    match answered {
        Err(status) if status.code() == tonic::Code::NotFound => {
            Ok((StatusCode::NOT_FOUND, case.json.clone()).into_response())
        }
        Err(status) => Err(status.into()),
        Ok(answered) if floor.reflect => {
            let of = floor.payload.pool.get_message_by_name(case.message).ok_or("no such message")?;
            Ok(printed(&DynamicMessage::decode(of, answered.into_inner())?)?.into_response())
        }
        Ok(_answered) => Ok(case.json.clone().into_response()),
    }
}

/// Messages stay bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = bytes.remaining();
        Ok(Some(bytes.copy_to_bytes(length)))
    }
}
