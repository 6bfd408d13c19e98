//! What takes long: its states, what is known of it, and what happened to it.

use std::fmt;

macro_rules! names {
    ($(#[$doc:meta])* $kind:ident { $($(#[$each:meta])* $name:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $kind { $($(#[$each])* $name,)* }

        impl $kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the published name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Finds one by its published name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

names! {
    /// What an operation mirrors.
    Kind {
        /// A `google.longrunning.Operation` of an upstream.
        GoogleLro = "GOOGLE_LRO",
        /// One run of the backfill of a stream object.
        DatastreamBackfill = "DATASTREAM_BACKFILL",
        /// A query that Flyte's BigQuery connector runs.
        FlyteTask = "FLYTE_TASK",
    }
}

names! {
    /// How far an operation is.
    State {
        /// It waits for its turn.
        Pending = "PENDING",
        /// It is at work.
        Running = "RUNNING",
        /// It was asked to stop.
        Cancelling = "CANCELLING",
        /// It did what it was to do.
        Succeeded = "SUCCEEDED",
        /// It ended with an error.
        Failed = "FAILED",
        /// It was stopped.
        Cancelled = "CANCELLED",
        /// The upstream does not know it any more, and nobody saw its end.
        Lost = "LOST",
        /// A newer run took its place.
        Superseded = "SUPERSEDED",
        /// The upstream cannot do it, or cannot tell about it.
        Unsupported = "UNSUPPORTED",
        /// Nobody can find out.
        Unknown = "UNKNOWN",
    }
}

names! {
    /// What happened to an operation.
    EventKind {
        /// It is on record.
        Created = "operation.created",
        /// It moved, and has not ended.
        Progressed = "operation.progressed",
        /// It ended as [`State::Succeeded`].
        Succeeded = "operation.succeeded",
        /// It ended as [`State::Failed`].
        Failed = "operation.failed",
        /// It ended as [`State::Cancelled`].
        Cancelled = "operation.cancelled",
        /// It ended as [`State::Lost`].
        Lost = "operation.lost",
        /// It ended as [`State::Superseded`].
        Superseded = "operation.superseded",
        /// It ended as [`State::Unsupported`].
        Unsupported = "operation.unsupported",
        /// It ended as [`State::Unknown`].
        Unknown = "operation.unknown",
    }
}

impl State {
    /// Whether nothing can happen to it any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running | Self::Cancelling)
    }

    /// Returns the code of `google.rpc.Code` that it ends with where the upstream gave none; 0 for success.
    pub fn code(self) -> i32 {
        match self {
            Self::Pending | Self::Running | Self::Cancelling | Self::Succeeded => 0,
            Self::Failed | Self::Unknown => 2,
            Self::Cancelled => 1,
            Self::Lost => 5,
            Self::Superseded => 10,
            Self::Unsupported => 12,
        }
    }
}

/// Identifies an operation. Sorts by time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct OperationId(pub [u8; 16]);

impl OperationId {
    /// Reads the usual form of a UUID, in lower case; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 36 || [8, 13, 18, 23].iter().any(|at| bytes[*at] != b'-') {
            return None;
        }
        let mut digits = bytes.iter().enumerate().filter(|(at, _)| ![8, 13, 18, 23].contains(at));
        let mut id = [0; 16];
        for byte in &mut id {
            let mut digit = || match digits.next()?.1 {
                d @ b'0'..=b'9' => Some(d - b'0'),
                d @ b'a'..=b'f' => Some(d - b'a' + 10),
                _ => None,
            };
            *byte = digit()? << 4 | digit()?;
        }
        Some(Self(id))
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The record of something that takes long. Times are microseconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Its id: that of the intent it was born from, where there was one.
    pub id: OperationId,
    /// Id of the project it belongs to.
    pub project: String,
    /// What it mirrors.
    pub kind: Kind,
    /// Key of the upstream.
    pub upstream: String,
    /// Its name there; for a backfill, that of the object.
    pub upstream_name: String,
    /// Tells the runs of one name apart; empty where a name has only one.
    pub run: String,
    /// What can be listed to see it together with others; empty where nothing can.
    pub parent: String,
    /// The resource it works on; empty where nobody said.
    pub target: String,
    /// Full name of the method that started it; empty for one that was tracked by name.
    pub method: String,
    /// Who started it.
    pub principal: String,
    /// How far it is.
    pub state: State,
    /// Grows with everything that callers can see.
    pub version: i64,
    /// 0 to 100, where the upstream tells.
    pub progress: Option<i32>,
    /// When it was put on record.
    pub created_at: i64,
    /// When the upstream began with it.
    pub started_at: Option<i64>,
    /// When the last change was seen.
    pub updated_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// The upstream's metadata: an `Any` in wire format, empty without.
    pub metadata: Vec<u8>,
    /// The result: an `Any` in wire format, empty without.
    pub response: Vec<u8>,
    /// The failure: a `google.rpc.Status` in wire format, empty without.
    pub error: Vec<u8>,
    /// What its source needs to remember.
    pub source: Vec<u8>,
    /// Why it cannot be followed, if so.
    pub problem: String,
    /// When to look again.
    pub poll_at: i64,
    /// The last wait between two looks, in microseconds.
    pub spacing: i64,
    /// Looks that failed since the last good one.
    pub failures: i32,
    /// Grows with every claim: who holds an older one writes nothing.
    pub lease_token: i64,
}

impl Operation {
    /// Returns its name, `projects/p/operations/id`.
    pub fn name(&self) -> String {
        format!("projects/{}/operations/{}", self.project, self.id)
    }
}

/// Something that happened to an operation, for whoever wants to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id. Sorts by time.
    pub id: [u8; 16],
    /// Id of the project.
    pub project: String,
    /// What happened.
    pub kind: EventKind,
    /// When, in microseconds since 1970.
    pub at: i64,
    /// To which operation.
    pub operation: OperationId,
    /// Its version then.
    pub version: i64,
    /// What it mirrors.
    pub source: Kind,
    /// Key of its upstream.
    pub upstream: String,
    /// What is told, as JSON.
    pub payload: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_printed() {
        let id = OperationId([0x0f; 16]);
        assert_eq!(OperationId::parse(&id.to_string()), Some(id));
        let long = format!("{id}0");
        for wrong in [
            "",
            "x",
            &id.to_string().to_uppercase(),
            "0f0f0f0f-0f0f-0f0f-0f0f-0f0f0f0f0f0g",
            &long,
            "0f0f0f0f00f0f-0f0f-0f0f-0f0f0f0f0f0f",
        ] {
            assert_eq!(OperationId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_go_both_ways() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(*state));
        }
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_name(kind.name()), Some(*kind));
        }
    }
}
