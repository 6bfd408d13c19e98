//! Answers that come message by message.
//!
//! Nothing is held back or gathered: a message is printed when the connection takes it, so a slow reader slows the
//! upstream, and a caller that leaves cancels the call (the body is dropped, and the call with it) unless it changes
//! something. The first message is awaited before the headers, so an early failure has a status of its own; a later one
//! is the last element.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use tokio_util::sync::CancellationToken;

use super::{
    JSON, Server,
    edge::Exchange,
    error::{self, Style},
    negotiate::{self, StreamFormat},
    proxied::View,
    server::Proxied,
};
use crate::{
    error::{Code, Error, Reason, Result},
    gateway::Messages,
    transcode::Alt,
};

type Next = Pin<Box<dyn Future<Output = (Messages, Option<Result<Bytes>>)> + Send>>;

/// The rest of a stream.
pub(super) struct StreamBody {
    /// Printed and not yet taken.
    ready: Option<Bytes>,
    next: Option<Next>,
    form: Form,
    soft: CancellationToken,
}

enum Form {
    /// The data of each `google.api.HttpBody`, one after the other.
    Raw(Arc<Proxied>),
    Printed(Box<Printer>),
}

impl StreamBody {
    /// Waits for the first message and prints it.
    pub(super) async fn printed(
        mut printer: Printer,
        mut messages: Messages,
        soft: CancellationToken,
    ) -> Result<Self> {
        let (ready, next) = match messages.next().await {
            Some(first) => (printer.element(&first?)?, Some(next(messages, soft.clone()))),
            None => (printer.end(), None),
        };
        Ok(Self { ready: Some(ready), next, form: Form::Printed(Box::new(printer)), soft })
    }

    /// Waits for the first message, which tells the content type.
    pub(super) async fn raw(
        proxied: Arc<Proxied>,
        mut messages: Messages,
        soft: CancellationToken,
    ) -> Result<(Self, String)> {
        let Some(first) = messages.next().await.transpose()? else {
            return Ok((Self { ready: None, next: None, form: Form::Raw(proxied), soft }, String::new()));
        };
        let raw = proxied.route.response.raw(&first)?;
        let (ready, kind) = (Bytes::copy_from_slice(&raw.data), raw.content_type.into_owned());
        let next = Some(next(messages, soft.clone()));
        Ok((Self { ready: Some(ready), next, form: Form::Raw(proxied), soft }, kind))
    }

    /// Waits for the next bytes. An error cuts the connection: it comes only where the form has no way to tell.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            if let Some(ready) = self.ready.take().filter(|ready| !ready.is_empty()) {
                return Poll::Ready(Some(Ok(ready)));
            }
            let Some(waiting) = &mut self.next else { return Poll::Ready(None) };
            let (messages, message) = std::task::ready!(waiting.as_mut().poll(cx));
            self.next = None;
            let printed = match (&mut self.form, message) {
                (Form::Raw(_), None) => return Poll::Ready(None),
                (Form::Raw(proxied), Some(message)) => {
                    let raw = message.and_then(|message| {
                        proxied.route.response.raw(&message).map(|raw| Bytes::copy_from_slice(&raw.data))
                    });
                    match raw {
                        Ok(raw) => Ok(raw),
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
                (Form::Printed(printer), None) => Err(printer.end()),
                (Form::Printed(printer), Some(message)) => match message.and_then(|m| printer.element(&m)) {
                    Ok(element) => Ok(element),
                    Err(error) => Err(printer.failure(&error)),
                },
            };
            match printed {
                Ok(more) => {
                    self.ready = Some(more);
                    self.next = Some(next(messages, self.soft.clone()));
                }
                Err(last) => self.ready = Some(last),
            }
        }
    }
}

/// Waits for the next message, or for the order to stop, which the caller may answer by asking again elsewhere.
fn next(mut messages: Messages, soft: CancellationToken) -> Next {
    Box::pin(async move {
        let message = tokio::select! {
            biased;
            () = soft.cancelled() => Some(Err(Error::new(
                Code::Unavailable,
                Reason::ShuttingDown,
                "The gateway is stopping. Ask again.",
            ))),
            message = messages.next() => message,
        };
        (messages, message)
    })
}

/// Lays messages out one after the other.
pub(super) struct Printer {
    proxied: Arc<Proxied>,
    view: View,
    format: StreamFormat,
    request_id: String,
    printed: u64,
    details: super::details::Details,
}

impl Printer {
    pub(super) fn new(
        server: &Server,
        proxied: Arc<Proxied>,
        mut view: View,
        headers: &HeaderMap,
        exchange: &Exchange,
    ) -> Self {
        let format =
            if view.alt == Alt::Sse { StreamFormat::Events } else { negotiate::stream_format(headers) };
        // A line or an event ends with its line.
        view.form.pretty &= format == StreamFormat::Array;
        Self {
            proxied,
            view,
            format,
            request_id: exchange.id().to_owned(),
            printed: 0,
            details: server.details.clone(),
        }
    }

    pub(super) fn content_type(&self) -> HeaderValue {
        match self.format {
            StreamFormat::Array => JSON,
            StreamFormat::Lines => HeaderValue::from_static("application/x-ndjson; charset=utf-8"),
            StreamFormat::Events => HeaderValue::from_static("text/event-stream; charset=utf-8"),
        }
    }

    fn element(&mut self, message: &[u8]) -> Result<Bytes> {
        let mut out = Vec::new();
        self.open(&mut out);
        self.proxied.route.print(message, &self.view.json(), &mut out)?;
        self.close(&mut out);
        self.printed += 1;
        Ok(out.into())
    }

    fn failure(&mut self, error: &Error) -> Bytes {
        if std::error::Error::source(error).is_some() {
            tracing::warn!(request.id = self.request_id, error = error.told(), "a stream failed");
        } else {
            tracing::debug!(request.id = self.request_id, error = error.told(), "a stream ended early");
        }
        let style = Style { pretty: self.view.form.pretty, legacy: self.view.legacy_errors };
        let mut out = Vec::new();
        self.open(&mut out);
        out.extend(error::envelope(error, &self.request_id, style, |detail| self.details.print(detail)));
        self.close(&mut out);
        if self.format == StreamFormat::Array {
            out.push(b']');
        }
        out.into()
    }

    fn end(&self) -> Bytes {
        Bytes::from_static(match (self.format, self.printed) {
            (StreamFormat::Array, 0) => b"[]",
            (StreamFormat::Array, _) => b"]",
            (StreamFormat::Lines | StreamFormat::Events, _) => b"",
        })
    }

    fn open(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match (self.format, self.printed) {
            (StreamFormat::Array, 0) => b"[",
            (StreamFormat::Array, _) => b",\n",
            (StreamFormat::Lines, _) => b"",
            (StreamFormat::Events, _) => b"data: ",
        });
    }

    fn close(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.format {
            StreamFormat::Array => b"",
            StreamFormat::Lines => b"\n",
            StreamFormat::Events => b"\n\n",
        });
    }
}
