//! Which node of a cluster has which key: slots, as the specification of Redis Cluster counts them.

use redis::{ServerErrorKind, Value};

/// Slots of a cluster.
const SLOTS: u16 = 16_384;

/// A host and a port.
pub(super) type Address = (String, u16);

/// Who has which slots. Never empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Map(Vec<Range>);

#[derive(Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    master: Address,
}

/// What a node says that does not have a key, or no longer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Redirect {
    /// Who has it.
    pub(super) to: Address,
    /// Whether only this key, of a slot that is on its way.
    pub(super) is_asking: bool,
}

impl Map {
    /// Reads the answer to `CLUSTER SLOTS` of the node at `asked`, which may leave its own host out. `None`: it is none, or
    /// nobody has a slot.
    pub(super) fn read(answer: &Value, asked: &Address) -> Option<Self> {
        let Value::Array(ranges) = answer else { return None };
        if ranges.len() > usize::from(SLOTS) {
            return None;
        }
        let mut ranges = ranges.iter().map(|range| Range::read(range, asked)).collect::<Option<Vec<_>>>()?;
        ranges.sort_unstable_by_key(|range| range.first);
        (!ranges.is_empty()).then_some(Self(ranges))
    }

    /// Finds who has a slot; `None`: nobody does for now.
    pub(super) fn master(&self, slot: u16) -> Option<&Address> {
        let after = self.0.partition_point(|range| range.first <= slot);
        let range = &self.0[after.checked_sub(1)?];
        (slot <= range.last).then_some(&range.master)
    }

    /// Lists those who have slots, some more than once.
    pub(super) fn masters(&self) -> impl Iterator<Item = &Address> {
        self.0.iter().map(|range| &range.master)
    }
}

impl Range {
    fn read(range: &Value, asked: &Address) -> Option<Self> {
        let Value::Array(parts) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = parts.as_slice() else {
            return None;
        };
        let [host, Value::Int(port), ..] = master.as_slice() else { return None };
        let host = match host {
            Value::BulkString(host) => str::from_utf8(host).ok()?,
            Value::SimpleString(host) => host,
            Value::Nil => "",
            _ => return None,
        };
        let slot = |number: &i64| u16::try_from(*number).ok().filter(|slot| *slot < SLOTS);
        Some(Self {
            first: slot(first)?,
            last: slot(last)?,
            master: (host_or(host, asked), u16::try_from(*port).ok()?),
        })
    }
}

impl Redirect {
    /// Reads `MOVED` and `ASK` in an answer of the node at `asked`.
    pub(super) fn read(answer: &Value, asked: &Address) -> Option<Self> {
        let Value::ServerError(error) = answer else { return None };
        let is_asking = match error.kind()? {
            ServerErrorKind::Moved => false,
            ServerErrorKind::Ask => true,
            _ => return None,
        };
        let (_slot, address) = error.details()?.split_once(' ')?;
        let (host, port) = address.trim().rsplit_once(':')?;
        Some(Self { to: (host_or(host, asked), port.parse().ok()?), is_asking })
    }
}

/// A node that does not know how others reach it leaves its host out, or says `?`.
fn host_or(host: &str, asked: &Address) -> String {
    if matches!(host, "" | "?") { asked.0.clone() } else { host.to_owned() }
}

/// Returns the slot of a key: of what stands between its first braces, if anything does.
pub(super) fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
    crc16(hashed.as_bytes()) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8)
            .fold(crc ^ u16::from(*byte) << 8, |crc, _| crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Address {
        ("asked".to_owned(), 1)
    }

    fn answer(text: &str) -> Value {
        redis::parse_redis_value(text.as_bytes()).unwrap()
    }

    fn range(first: u16, last: u16, host: &str, port: u16) -> String {
        format!(
            "*4\r\n:{first}\r\n:{last}\r\n*3\r\n{host}\r\n:{port}\r\n$2\r\nid\r\n*3\r\n$1\r\nr\r\n:9\r\n$2\r\nid\r\n"
        )
    }

    #[test]
    fn a_key_has_the_slot_that_the_specification_gives_it() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // As `CLUSTER KEYSLOT` answers.
        for (key, slot) in
            [("foo", 12182), ("bar", 5061), ("{foo}bar", 12182), ("a{foo}{bar}", 12182), ("", 0)]
        {
            assert_eq!(slot_of(key), slot, "{key}");
        }
        assert_eq!(slot_of("foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot_of("foo{{bar}}zap"), crc16(b"{bar") % SLOTS);
    }

    #[test]
    fn a_map_says_who_has_a_slot() {
        let parts = [
            range(10, 20, "$3\r\ntwo", 2),
            range(0, 9, "$3\r\none", 1),
            range(21, 21, "$-1", 3),
            range(23, 16383, "$0\r\n", 4),
        ];
        let map = Map::read(&answer(&format!("*4\r\n{}", parts.concat())), &asked()).unwrap();
        let master = |slot| map.master(slot).map(|(host, port)| (host.as_str(), *port));
        assert_eq!([0, 9, 10, 20].map(master), [("one", 1), ("one", 1), ("two", 2), ("two", 2)].map(Some));
        assert_eq!(
            [21, 22, 23, 16383].map(master),
            [Some(("asked", 3)), None, Some(("asked", 4)), Some(("asked", 4))]
        );
        assert_eq!(map.masters().count(), 4);
    }

    #[test]
    fn what_is_no_map_is_none() {
        for text in ["*0\r\n", "+OK\r\n", "*1\r\n:1\r\n", "*1\r\n*2\r\n:1\r\n:2\r\n"] {
            assert_eq!(Map::read(&answer(text), &asked()), None, "{text}");
        }
        for (first, port) in [(16384, 1), (0, 65535)] {
            let text = format!("*1\r\n{}", range(first, first, "$1\r\na", port));
            assert_eq!(Map::read(&answer(&text), &asked()).is_some(), first == 0);
        }
    }

    #[test]
    fn a_node_says_where_a_key_has_gone() {
        let read = |text: &str| Redirect::read(&answer(text), &asked());
        let to = |host: &str, port, is_asking| Some(Redirect { to: (host.to_owned(), port), is_asking });
        assert_eq!(read("-MOVED 3999 127.0.0.1:6381\r\n"), to("127.0.0.1", 6381, false));
        assert_eq!(read("-MOVED 3999 ::1:6381\r\n"), to("::1", 6381, false));
        assert_eq!(read("-ASK 3999 :6381\r\n"), to("asked", 6381, true));
        assert_eq!(read("-MOVED 3999 host\r\n"), None);
        assert_eq!(read("-ERR 3999 host:1\r\n"), None);
        assert_eq!(read("+OK\r\n"), None);
    }
}
