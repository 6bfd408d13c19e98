//! What Python would raise inside the connector, and how its server tells the caller.

use tonic::{Code, Status};

/// Where the packages of the connector are installed, as tracebacks show.
const PACKAGES: &str = "/usr/local/lib/python3.11/site-packages";

/// An exception.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exception {
    /// Module and name: `KeyError`, `google.api_core.exceptions.NotFound`.
    pub(super) class: &'static str,
    /// What its `str` is.
    pub(super) message: String,
}

/// The rpcs that fail with a traceback.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Create,
    Get,
    Delete,
}

impl Exception {
    pub(super) fn new(class: &'static str, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }

    /// A key that a dict does not have; `key` as Python shows it.
    pub(super) fn key(key: impl Into<String>) -> Self {
        Self::new("KeyError", key)
    }

    /// Fails a call as the server does whatever went wrong: with the traceback.
    pub(super) fn traceback(&self, call: Call, task_type: &str) -> Status {
        let Self { class, message } = self;
        let (verb, rpc) = match call {
            Call::Create => ("create", "CreateTask"),
            Call::Get => ("get", "GetTask"),
            Call::Delete => ("delete", "DeleteTask"),
        };
        let service = format!("{PACKAGES}/flytekit/extend/backend/connector_service.py");
        let connector = format!("{PACKAGES}/flytekitplugins/bigquery/connector.py");
        let name = class.rsplit('.').next().unwrap_or(class);
        let indented = message.replace('\n', "\n    ");
        Status::internal(format!(
            "failed to {verb} {task_type} task with error:\n Trace:\n\n    Traceback (most recent call last):\n      \
             File \"{service}\", line 106, in wrapper\n      File \"{service}\", line 140, in {rpc}\n      \
             File \"{connector}\", line 90, in {verb}\n    {class}: {indented}\n\nMessage:\n\n    {name}: {indented}."
        ))
    }

    /// Fails a call that nobody watches over: the gRPC library names the class.
    pub(super) fn unexpected(&self) -> Status {
        let Self { class, message } = self;
        Status::new(Code::Unknown, format!("Unexpected <class '{class}'>: {message}"))
    }
}

/// Shows text as Python's `repr` does.
pub(super) fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            letter if letter == quote => out.extend(['\\', letter]),
            letter if letter.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out.push(quote);
    out
}
