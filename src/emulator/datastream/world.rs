//! Everything the service remembers, in memory, and the one place where time moves it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use jiff::Timestamp;
use prost::Message;
use tonic::Status;

use super::{
    backfill::Run,
    name::ancestor,
    operation::Operation,
    pace::{Pace, after},
    refusal::{busy, invalid, quota},
    resource::Shelf,
    shapes::Shapes,
};
use crate::{
    emulator::PageSizes,
    pb::google::{
        cloud::datastream::v1::{ConnectionProfile, PrivateConnection, Route, Stream, StreamObject},
        longrunning,
    },
};

/// Operations kept; the oldest that have ended are forgotten first.
const OPERATIONS_MAX: usize = 2000;
/// Request ids remembered; the oldest are forgotten first.
const REQUEST_IDS_MAX: usize = 2000;
/// Bytes of a request that changes something: what it brings is kept.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// How long a request id is remembered at least, while there is room.
const REQUEST_ID_KEPT: Duration = Duration::from_secs(60 * 60);

/// The state of the emulated service.
pub(super) struct World {
    pub(super) pace: Pace,
    pub(super) page_sizes: PageSizes,
    pub(super) shapes: Shapes,
    pub(super) profiles: Shelf<ConnectionProfile>,
    pub(super) private_connections: Shelf<PrivateConnection>,
    pub(super) routes: Shelf<Route>,
    pub(super) streams: Shelf<Stream>,
    pub(super) objects: BTreeMap<String, Object>,
    pub(super) operations: BTreeMap<String, Operation>,
    requests: HashMap<(&'static str, String), Remembered>,
    request_order: VecDeque<(&'static str, String)>,
    operations_begun: u32,
}

/// A stream object and its latest backfill.
pub(super) struct Object {
    /// What does not move by itself; its `backfill_job` is what is shown while there is no run.
    pub(super) fixed: StreamObject,
    pub(super) run: Option<Run>,
}

/// The answer given to a request id.
struct Remembered {
    request: Vec<u8>,
    operation: longrunning::Operation,
    until: Timestamp,
}

impl World {
    /// Creates a world without anything in it.
    pub(super) fn new(pace: Pace, page_sizes: PageSizes, shapes: Shapes) -> Self {
        Self {
            pace,
            page_sizes,
            shapes,
            profiles: BTreeMap::new(),
            private_connections: BTreeMap::new(),
            routes: BTreeMap::new(),
            streams: BTreeMap::new(),
            objects: BTreeMap::new(),
            operations: BTreeMap::new(),
            requests: HashMap::new(),
            request_order: VecDeque::new(),
            operations_begun: 0,
        }
    }

    /// Ends every operation whose time has come, earliest first.
    pub(super) fn settle(&mut self, now: Timestamp) {
        for _ in 0..OPERATIONS_MAX {
            let next = self.operations.values().filter_map(|op| Some((op.ends()?, &op.name))).min();
            let Some((at, name)) = next.filter(|(at, _)| *at <= now) else { return };
            let name = name.clone();
            self.end(&name, at);
        }
    }

    fn end(&mut self, name: &str, at: Timestamp) {
        if let Some(mut operation) = self.operations.remove(name) {
            operation.end(self, at);
            if !operation.forgotten {
                self.operations.insert(name.to_owned(), operation);
            }
        }
    }

    /// Begins an operation: gives it a name in the location of its target and keeps it.
    ///
    /// # Errors
    /// `ABORTED` while another operation works on the target, `RESOURCE_EXHAUSTED` when too many run.
    pub(super) fn begin(&mut self, operation: Operation) -> Result<longrunning::Operation, Status> {
        self.check_idle(&operation.target)?;
        self.make_room()?;
        Ok(self.recall(operation))
    }

    /// Keeps an operation, under a new name if it has none, whatever else works on its target.
    pub(super) fn recall(&mut self, mut operation: Operation) -> longrunning::Operation {
        self.operations_begun = self.operations_begun.wrapping_add(1);
        if operation.name.is_empty() {
            operation.name = format!(
                "{}/operations/operation-{}-{:08x}",
                ancestor(&operation.target, 2),
                operation.created.as_millisecond(),
                self.operations_begun
            );
        }
        let shown = operation.render();
        self.operations.insert(operation.name.clone(), operation);
        shown
    }

    /// Returns an operation that has not been deleted.
    pub(super) fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations.get(name).filter(|it| !it.forgotten)
    }

    /// Asks for the cancellation of an operation at `at`; `false` when there is none of that name.
    pub(super) fn cancel(&mut self, name: &str, at: Timestamp) -> bool {
        let found = self.operations.get_mut(name).filter(|it| !it.forgotten);
        found.map(|it| it.cancel(at)).is_some()
    }

    /// Deletes an operation, but not what it does; `false` when there is none of that name.
    pub(super) fn forget(&mut self, name: &str) -> bool {
        let Some(operation) = self.operations.get_mut(name).filter(|it| !it.forgotten) else { return false };
        operation.forgotten = true;
        if operation.ends().is_none() {
            self.operations.remove(name);
        }
        true
    }

    /// Refuses when an operation works on `target`.
    pub(super) fn check_idle(&self, target: &str) -> Result<(), Status> {
        match self.operations.values().find(|op| op.target == target && op.ends().is_some()) {
            Some(operation) => Err(busy(target, &operation.name)),
            None => Ok(()),
        }
    }

    fn make_room(&mut self) -> Result<(), Status> {
        if self.operations.len() < OPERATIONS_MAX {
            return Ok(());
        }
        let oldest = self.operations.values().filter(|op| op.ends().is_none()).min_by_key(|op| op.created);
        let Some(name) = oldest.map(|op| op.name.clone()) else {
            return Err(quota("operations", &format!("{OPERATIONS_MAX} operations are running")));
        };
        self.operations.remove(&name);
        Ok(())
    }

    /// Carries out a request once per request id: a repetition gets the operation of the first.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for an id that is no UUID or all zeros, or that came with another request before;
    /// `RESOURCE_EXHAUSTED` for a request that is too large to keep.
    pub(super) fn once<R: Message + Default + PartialEq>(
        &mut self,
        rpc: &'static str,
        request_id: &str,
        request: &R,
        now: Timestamp,
        act: impl FnOnce(&mut Self) -> Result<longrunning::Operation, Status>,
    ) -> Result<longrunning::Operation, Status> {
        if request.encoded_len() > REQUEST_BYTES_MAX {
            return Err(quota("request", &format!("a request holds at most {REQUEST_BYTES_MAX} bytes")));
        }
        if request_id.is_empty() {
            return act(self);
        }
        check_uuid(request_id)?;
        let key = (rpc, request_id.to_ascii_lowercase());
        if let Some(known) = self.requests.get(&key).filter(|known| known.until > now) {
            // Compared as messages: maps have no order on the wire.
            if R::decode(known.request.as_slice()).ok().as_ref() != Some(request) {
                return Err(invalid("request_id", "was used for another request"));
            }
            let present = self.operation(&known.operation.name).map(Operation::render);
            return Ok(present.unwrap_or_else(|| known.operation.clone()));
        }
        let operation = act(self)?;
        let until = after(now, REQUEST_ID_KEPT);
        self.remember(
            key,
            Remembered { request: request.encode_to_vec(), operation: operation.clone(), until },
        );
        Ok(operation)
    }

    fn remember(&mut self, key: (&'static str, String), answer: Remembered) {
        if self.request_order.len() >= REQUEST_IDS_MAX
            && let Some(oldest) = self.request_order.pop_front()
        {
            self.requests.remove(&oldest);
        }
        self.request_order.push_back(key.clone());
        self.requests.insert(key, answer);
    }
}

fn check_uuid(id: &str) -> Result<(), Status> {
    let dashes = [8, 13, 18, 23];
    let shaped = id.len() == 36
        && id
            .bytes()
            .enumerate()
            .all(|(at, b)| if dashes.contains(&at) { b == b'-' } else { b.is_ascii_hexdigit() });
    if shaped && id.bytes().any(|b| b != b'0' && b != b'-') {
        return Ok(());
    }
    Err(invalid("request_id", "must be a UUID that is not all zeros"))
}
