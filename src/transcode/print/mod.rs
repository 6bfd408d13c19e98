//! Wire format to JSON in one pass over the bytes.
//!
//! Fields are printed as they come. A set of bits tells which were seen; the few things that legal bytes may do and
//! that a single pass cannot undo (a singular field given twice, a oneof overwritten, a list interrupted by another
//! field, a map key given twice) end the pass. So does damage: a message may come in pieces that are wrong alone and
//! right together. Everything is then printed once more, from the beginning, by [`careful`], which looks at all fields of
//! a message before it writes any. From the beginning, because bytes made for the purpose would else have each level
//! printed anew by every level above it.
//!
//! What an upstream sends may be made to hurt: output is bounded by [`json_bytes_max`], what has to be read more often
//! than once or copied by [`REREAD_BYTES_MAX`], and what is known of a message before it is printed by [`HELD_BYTES_MAX`].
//!
//! Nothing here knows which type it prints: the tables say everything.
//!
//! What is done for each field is inlined by force (`inline(always)`, here and in [`super::wire`]): left to the compiler,
//! calls of a few instructions each took a fifth of the time.

mod any;
mod careful;
mod fast;
mod known;
mod map;
mod open;
mod scalar;
mod stop;

use self::{
    map::MapKeys,
    open::Open,
    stop::{damaged, spent},
};
use super::{
    selection::Node,
    tables::{Card, FieldTable, MessageTable, Op, Shape, Tables},
    wire::Cursor,
};
use crate::error::Error;

pub(super) use self::stop::Stop;

/// Messages inside messages, as everywhere in protobuf.
pub(super) const DEPTH_MAX: usize = 100;
/// Names of unknown `Any` types that are reported per response.
const UNKNOWN_TYPES_MAX: usize = 16;
/// Bytes that are read again or copied for one answer: groups inside groups, whose end must be found at each level, and
/// messages that came in pieces. Honest bytes need a few times their size at most.
const REREAD_BYTES_MAX: usize = 512 << 20;
/// A copied byte costs memory too: a vector that grows takes up to three times what is in it.
const COPY_COST: usize = 4;
/// Bytes that the index of a message, those of the messages around it and the keys of their maps take at any moment. A
/// field in the index takes eight, and an entry of a map sixteen more: a message of 10 MiB always fits, and one of 64 MiB
/// unless it is made of next to nothing, of entries below twelve bytes and values below four.
const HELD_BYTES_MAX: usize = 128 << 20;
/// JSON that any answer may come to, however small its bytes.
const JSON_BYTES_BASE: usize = 64 << 20;
/// JSON that an answer may come to for each of its bytes. A packed enum takes one byte and prints a name.
const JSON_BYTES_FACTOR: usize = 8;

/// Bytes of JSON that so many bytes of wire format may come to.
pub(super) fn json_bytes_max(wire_bytes: usize) -> usize {
    JSON_BYTES_BASE.saturating_add(wire_bytes.saturating_mul(JSON_BYTES_FACTOR))
}

/// What a caller may ask for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    pub(super) enum_numbers: bool,
    pub(super) defaults: bool,
    pub(super) paths_as_they_are: bool,
}

/// Prints one message and whatever is inside it.
pub(super) struct Printer<'t, 'o> {
    tables: &'t Tables,
    out: &'o mut Vec<u8>,
    style: Style,
    /// One pass could not tell, so every message is looked at as a whole.
    careful: bool,
    /// Length that `out` must not pass.
    out_max: usize,
    /// What is left of [`REREAD_BYTES_MAX`].
    rereads: usize,
    /// What is left of [`HELD_BYTES_MAX`].
    holdable: usize,
    google_shaped: bool,
    any_depth: usize,
    /// In the order in which they were met, so that a part that is given up can take its own back.
    unknown_types: Vec<String>,
    /// What the last map kept its keys in, for the next one: a page of resources with labels has many maps.
    spare_keys: Option<MapKeys>,
}

impl<'t, 'o> Printer<'t, 'o> {
    /// Prepares to append the JSON of `wire_bytes` bytes to `out`.
    pub(super) fn new(tables: &'t Tables, out: &'o mut Vec<u8>, style: Style, wire_bytes: usize) -> Self {
        Self {
            tables,
            out_max: out.len().saturating_add(json_bytes_max(wire_bytes)),
            out,
            style,
            careful: false,
            rereads: REREAD_BYTES_MAX,
            holdable: HELD_BYTES_MAX,
            google_shaped: false,
            any_depth: 0,
            unknown_types: Vec::new(),
            spare_keys: None,
        }
    }

    /// Has `write` print, a second time with care where one pass cannot tell. So it is with damage, too: a message may come in
    /// pieces, such as an `Any` with its type in one and its value in another, and be right as a whole. Returns the names of
    /// types that no loaded descriptor knows, sorted.
    ///
    /// # Errors
    /// The bytes are no message of the type, or too costly to show.
    pub(super) fn print(
        mut self,
        write: impl Fn(&mut Self) -> Result<(), Stop>,
    ) -> Result<Vec<String>, Error> {
        let start = self.out.len();
        let mut ended = write(&mut self);
        if matches!(ended, Err(Stop::Redo | Stop::Bad(_))) {
            self.out.truncate(start);
            self.careful = true;
            self.google_shaped = false;
            self.any_depth = 0;
            self.unknown_types.clear();
            self.holdable = HELD_BYTES_MAX;
            // Its room may be that of a map with millions of keys.
            self.spare_keys = None;
            ended = write(&mut self);
        }
        match ended {
            Ok(()) => {
                self.unknown_types.sort_unstable();
                Ok(self.unknown_types)
            }
            // With care, nothing asks for more of it.
            Err(Stop::Redo) => Err(damaged("it contradicts itself")),
            Err(Stop::Spent(what)) => Err(spent(what)),
            Err(Stop::Bad(what)) => Err(damaged(what)),
        }
    }

    /// Makes sure that there is room for one more value.
    #[inline]
    fn room(&self) -> Result<(), Stop> {
        if self.out.len() > self.out_max { Err(Stop::Spent(&"it is too much JSON")) } else { Ok(()) }
    }

    /// Takes note that so many bytes will be read again.
    fn reread(&mut self, bytes: usize) -> Result<(), Stop> {
        match self.rereads.checked_sub(bytes) {
            Some(left) => {
                self.rereads = left;
                Ok(())
            }
            None => Err(Stop::Spent(&"its messages are too entangled")),
        }
    }

    /// Takes note that so many bytes will be copied.
    fn copy(&mut self, bytes: usize) -> Result<(), Stop> {
        self.reread(bytes.saturating_mul(COPY_COST))
    }

    /// Takes note that so many bytes are held until the [`holding`](Self::holding) around it ends.
    fn hold(&mut self, bytes: usize) -> Result<(), Stop> {
        match self.holdable.checked_sub(bytes) {
            Some(left) => {
                self.holdable = left;
                Ok(())
            }
            None => Err(Stop::Spent(&"its messages have too many small parts out of order")),
        }
    }

    /// Does what holds memory while it lasts. Given back also where it fails: damage inside an `Any` is not the end.
    fn holding<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        let before = self.holdable;
        let done = work(self);
        self.holdable = before;
        done
    }

    /// Prints a message of the type at `index`.
    pub(super) fn message(
        &mut self,
        index: u32,
        wire: &[u8],
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Stop> {
        self.room()?;
        let table = self.tables.message(index);
        if table.shape != Shape::Plain {
            return self.known(table, wire, chosen, depth);
        }
        let outer = self.google_shaped;
        self.google_shaped |= table.google_shaped;
        self.out.push(b'{');
        self.fields(table, wire, chosen, depth, false)?;
        self.out.push(b'}');
        self.google_shaped = outer;
        Ok(())
    }

    /// Prints the fields of a message without its braces. `comma` says that something stands before them.
    fn fields(
        &mut self,
        table: &MessageTable,
        wire: &[u8],
        chosen: Option<&Node>,
        depth: usize,
        comma: bool,
    ) -> Result<(), Stop> {
        if depth > DEPTH_MAX {
            return Err(Stop::Bad(&"messages are nested too deep"));
        }
        if !self.careful {
            return self.fast(table, wire, chosen, depth, comma);
        }
        self.careful_fields(table, wire, chosen, depth, comma)
    }

    /// Prints one value of a field, whose tag was read.
    #[inline(always)]
    fn value(
        &mut self,
        field: &FieldTable,
        cursor: &mut Cursor<'_>,
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Stop> {
        match field.op {
            Op::Message => self.message(field.child, cursor.bytes()?, chosen, depth + 1),
            Op::Group => {
                let content = cursor.group(field.number)?;
                self.reread(content.len())?;
                self.message(field.child, content, chosen, depth + 1)
            }
            _ => {
                self.room()?;
                self.scalar(field, cursor)
            }
        }
    }

    /// Prints the defaults of fields for which `absent` holds and whose zero is a value: never of messages, of oneof
    /// members or of `optional` fields, whose absence means something.
    fn missing(
        &mut self,
        table: &MessageTable,
        absent: impl Fn(usize) -> bool,
        chosen: Option<&Node>,
        mut comma: bool,
        depth: usize,
    ) -> Result<(), Stop> {
        for (at, field) in table.fields.iter().enumerate() {
            let silent = field.card == Card::Singular && !field.implicit;
            if silent || !absent(at) || matches!(choose(chosen, field), Choice::Skip) {
                continue;
            }
            field.key.put(self.out, comma);
            comma = true;
            match field.card {
                Card::Repeated => self.out.extend_from_slice(b"[]"),
                Card::Map => self.out.extend_from_slice(b"{}"),
                Card::Singular => self.default(field, depth)?,
            }
        }
        Ok(())
    }
}

/// Whether a field is printed, and what of its inside.
enum Choice<'s> {
    Skip,
    Print(Option<&'s Node>),
}

#[inline(always)]
fn choose<'s>(chosen: Option<&'s Node>, field: &FieldTable) -> Choice<'s> {
    let Some(node) = chosen else { return Choice::Print(None) };
    match node.child(&field.json_name, &field.name) {
        None => Choice::Skip,
        Some(child) => Choice::Print(child.narrowed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::fixture::embedded;

    #[test]
    fn what_was_held_is_given_back_also_by_what_failed() {
        let tables = Tables::new(&embedded());
        let mut out = Vec::new();
        let mut printer = Printer::new(&tables, &mut out, Style::default(), 0);
        let failed: Result<(), Stop> = printer.holding(|printer| {
            printer.hold(HELD_BYTES_MAX)?;
            Err(Stop::Bad(&"it is damaged"))
        });
        assert!(matches!(failed, Err(Stop::Bad(_))));
        assert!(printer.hold(HELD_BYTES_MAX).is_ok());
        assert!(matches!(printer.hold(1), Err(Stop::Spent(_))));
    }
}
