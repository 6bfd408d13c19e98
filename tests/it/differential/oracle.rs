//! `prost-reflect` beside us, and what it is known to get wrong.

use std::collections::{HashMap, HashSet};

use causeway::{
    schema::Pool,
    transcode::{JsonOptions, Transcoder, UnknownFields},
};
use prost::{
    Message as _,
    encoding::{self, WireType},
};
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, FieldDescriptor, MessageDescriptor};
use serde_json::{Map, Value};

/// Both sides, on the same types.
pub(super) struct Pair {
    ours: Transcoder,
    oracle: DescriptorPool,
    /// For each name of an enum's value the first that was declared for its number. The oracle prints any of them.
    first_names: HashMap<String, String>,
}

impl Pair {
    pub(super) fn new(set: &[u8]) -> Self {
        let pool = Pool::load(&[("random", set)]).unwrap_or_else(|error| panic!("{error}"));
        let oracle = DescriptorPool::decode(set).unwrap_or_else(|error| panic!("{error}"));
        let mut first_names = HashMap::new();
        for enumeration in oracle.all_enums() {
            let values = &enumeration.enum_descriptor_proto().value;
            for value in values {
                let first = values.iter().find(|other| other.number() == value.number()).unwrap_or(value);
                first_names.insert(value.name().to_owned(), first.name().to_owned());
            }
        }
        Self { ours: Transcoder::new(&pool), oracle, first_names }
    }

    /// Prints bytes on both sides; returns the JSON if both could.
    pub(super) fn compare_printing(&self, name: &str, wire: &[u8], seed: u64) -> Option<String> {
        let ours = self.print(name, wire);
        let oracle = self.oracle_print(&self.descriptor(name), wire);
        match (ours, oracle) {
            (Ok(text), Ok(value)) => {
                let read: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
                    panic!("seed {seed}: {name}: we printed no JSON: {error}: {text}")
                });
                assert!(
                    self.same(&read, &value) || misread_map(&self.descriptor(name), wire),
                    "seed {seed}: {name}: printed differently: {read} and {value}: {wire:02x?}"
                );
                Some(text)
            }
            (Err(_), Err(_)) => None,
            (Ok(text), Err(why))
                if printing_excused(&why, &text)
                    || misread_map(&self.descriptor(name), wire)
                    || replaces(&self.descriptor(name), wire) =>
            {
                None
            }
            (Err(why), Ok(_)) if refusal_excused(&why) || misread_map(&self.descriptor(name), wire) => None,
            (ours, oracle) => panic!("seed {seed}: {name}: ours {ours:?}, oracle {oracle:?}: {wire:02x?}"),
        }
    }

    /// Reads text on both sides and compares the messages.
    pub(super) fn compare_reading(&self, name: &str, text: &str, seed: u64) {
        let plan = self.ours.message(name).expect("both sides know the type");
        let ours =
            plan.to_wire(text.as_bytes(), UnknownFields::Reject).map_err(|error| error.message().to_owned());
        // The oracle looks past a dot in front of a type's name. In a URL such a name is of no type that anybody knows.
        if serde_json::from_str(text).is_ok_and(|value| has_dotted_type(&value)) {
            return;
        }
        let oracle = self.oracle_read(name, text);
        match (ours, oracle) {
            (Ok(parsed), Ok(message)) => {
                let descriptor = self.descriptor(name);
                let back =
                    DynamicMessage::decode(descriptor, parsed.bytes.as_slice()).unwrap_or_else(|error| {
                        panic!("seed {seed}: {name}: we wrote no message: {error}: {text}")
                    });
                // Compared as JSON: a zero that was given is on our wire and not in the oracle's message.
                let shown = |message: &DynamicMessage| {
                    serde_json::to_value(message).map_err(|error| error.to_string())
                };
                let (back, message) = (shown(&back), shown(&message));
                // `null` is an empty list; of a list of `google.protobuf.Value` the oracle makes a value, and shows `null`.
                if !text.contains("null")
                    || back.clone().map(without_nulls) != message.clone().map(without_nulls)
                {
                    assert_eq!(back, message, "seed {seed}: {name}: read differently: {text}");
                }
            }
            (Err(_), Err(_)) => {}
            (Ok(_), Err(why)) if leniency_excused(&why, text) => {}
            (Err(why), Ok(_)) if strictness_excused(&why) => {}
            (ours, oracle) => panic!(
                "seed {seed}: {name}: ours {:?}, oracle {:?}: {text}",
                ours.map(drop),
                oracle.map(drop)
            ),
        }
    }

    /// Equality, but for floats that are no numbers: serde_json makes `null` of the oracle's. Of an enum's names ours may be
    /// the first where the oracle's is another; that it is the first has a story of its own.
    fn same(&self, ours: &Value, oracle: &Value) -> bool {
        match (ours, oracle) {
            (Value::String(text), Value::Null) => matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity"),
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.same(a, b))
            }
            (Value::Object(a), Value::Object(b)) => {
                // The oracle takes a negative zero for absence.
                let minus = |value: &Value| {
                    value.as_f64().is_some_and(|number| number == 0.0 && number.is_sign_negative())
                };
                if self.is_kept(a) {
                    return true;
                }
                let kept = |(key, value): &(&String, &Value)| b.contains_key(*key) || !minus(value);
                a.iter().filter(kept).count() == b.len()
                    && a.iter().filter(kept).all(|(key, a)| b.get(key).is_some_and(|b| self.same(a, b)))
            }
            (Value::Number(ours), Value::Number(oracle)) => {
                let (ours, oracle) = (ours.as_f64().unwrap_or_default(), oracle.as_f64().unwrap_or_default());
                // The oracle shows a float with the digits of the double that it becomes; ours are as few as read back.
                ours == oracle || (f64::from(oracle as f32) == oracle && ours as f32 == oracle as f32)
            }
            (Value::String(ours), Value::String(oracle)) => {
                // A string may have the words of a name that is not the first.
                ours == oracle || self.first_names.get(oracle).is_some_and(|first| first == ours)
            }
            (a, b) => a == b,
        }
    }

    /// Whether ours is an `Any` that is shown by its bytes where the oracle unpacks it: it holds what we refuse to print, or
    /// has a dot in front of its type's name, which names nothing.
    fn is_kept(&self, ours: &Map<String, Value>) -> bool {
        let (Some(Value::String(url)), Some(Value::String(value))) = (ours.get("@type"), ours.get("value"))
        else {
            return false;
        };
        let Ok(bytes) = base64_simd::STANDARD.decode_to_vec(value) else { return false };
        let name = url.rsplit('/').next().unwrap_or_default();
        if name.starts_with('.') {
            return true;
        }
        self.ours.message(name).is_some() && self.print(name, &bytes).is_err_and(|why| refusal_excused(&why))
    }

    fn descriptor(&self, name: &str) -> MessageDescriptor {
        self.oracle.get_message_by_name(name).expect("both sides know the type")
    }

    fn print(&self, name: &str, wire: &[u8]) -> Result<String, String> {
        let plan = self.ours.message(name).expect("both sides know the type");
        let mut out = Vec::new();
        plan.to_json(wire, &JsonOptions::default(), &mut out).map_err(|error| error.message().to_owned())?;
        Ok(String::from_utf8(out).expect("what we print is UTF-8"))
    }

    fn oracle_print(&self, descriptor: &MessageDescriptor, wire: &[u8]) -> Result<Value, String> {
        let message = DynamicMessage::decode(descriptor.clone(), wire).map_err(|error| error.to_string())?;
        serde_json::to_value(&message).map_err(|error| error.to_string())
    }

    fn oracle_read(&self, name: &str, text: &str) -> Result<DynamicMessage, String> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let options = DeserializeOptions::new().deny_unknown_fields(true);
        let message =
            DynamicMessage::deserialize_with_options(self.descriptor(name), &mut deserializer, &options)
                .map_err(|error| error.to_string())?;
        deserializer.end().map_err(|error| error.to_string())?;
        Ok(message)
    }
}

/// Whether an `Any` has a dot in front of its type's name, however deep.
fn has_dotted_type(value: &Value) -> bool {
    let is_dotted = |(key, value): (&String, &Value)| {
        let name = value.as_str().and_then(|url| url.rsplit('/').next());
        (key == "@type" && name.is_some_and(|name| name.starts_with('.'))) || has_dotted_type(value)
    };
    match value {
        Value::Object(members) => members.iter().any(is_dotted),
        Value::Array(items) => items.iter().any(has_dotted_type),
        _ => false,
    }
}

/// Leaves out members that are `null`, however deep.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// What we print by the specification and the oracle refuses.
fn printing_excused(why: &str, text: &str) -> bool {
    // A known number with another wire type is an unknown field.
    why.contains("invalid wire type")
        // An `Any` that cannot be unpacked is kept, and one that was never set is `{}`.
        || text.contains("@type")
        || why.contains("unsupported type url ''")
}

/// What we refuse to print by the specification and the oracle prints.
fn refusal_excused(why: &str) -> bool {
    [
        // Ranges that the mapping states for output too.
        "a timestamp is outside",
        "a duration is outside",
        "an Any has a value and no type",
        "a field mask has a path",
        "is not a finite number",
        // The oracle takes the end of a group that was never open for a map entry.
        "a group ends that was not open",
    ]
    .iter()
    .any(|known| why.contains(known))
}

/// What we accept by the specification and the oracle refuses.
fn leniency_excused(why: &str, text: &str) -> bool {
    // An `Any` of unknown type may be given by its bytes.
    (why.contains("not found") && text.contains("@type"))
        // So may one that is known, as it is printed where its bytes are no message that can be shown.
        || (why.contains("unrecognized field name 'value'") && text.contains("@type"))
        // One that was never set is `{}`, as it is printed.
        || (why.contains("expected '@type' field") && text.split_whitespace().collect::<String>().contains("{}"))
        // A whole number in quotes, and so a map key, has all the spellings that it has without.
        || why.contains("invalid digit found in string")
        // So has the number of an enum value.
        || (why.contains("invalid type: floating point") && why.contains("expected a string or integer"))
        // The largest float in its own shortest digits, which as a double are a little more.
        || (why.contains("float value out of range") && text.contains("3.40282"))
        // Both alphabets of base64 may meet in one value.
        || why.contains("invalid base64")
}

/// What we refuse by the specification, or by our contract, and the oracle accepts.
fn strictness_excused(why: &str) -> bool {
    [
        "is given twice",
        "too large for a double",
        // A number in quotes is a number as JSON writes them: no zeros in front.
        "a whole number",
        // The three words that are no numbers have one spelling.
        "or \"-Infinity\"",
        // A type's name in a URL has no dot in front, however the slash before it is written.
        ": .random.",
        ": .google.",
        // Nothing that a field could be called.
        "expected field names",
        // More digits than nanoseconds.
        "expected a time",
        "expected a duration",
    ]
    .iter()
    .any(|known| why.contains(known))
}

/// Whether a map field comes with a wire type that no map has. The oracle reads its value as an entry all the same.
fn misread_map(descriptor: &MessageDescriptor, mut wire: &[u8]) -> bool {
    if let Some((held, value)) = unpacked(descriptor, wire) {
        return misread_map(&held, &value);
    }
    // A message that comes in pieces is what they are together: an `Any` may have its type in one and its value in another.
    let mut pieces = HashMap::<u32, (MessageDescriptor, Vec<u8>)>::new();
    while !wire.is_empty() {
        let Ok((number, kind)) = encoding::decode_key(&mut wire) else { return false };
        let field = descriptor.get_field(number);
        if field.as_ref().is_some_and(FieldDescriptor::is_map) && kind != WireType::LengthDelimited {
            return true;
        }
        let start = wire;
        if encoding::skip_field(kind, number, &mut wire, encoding::DecodeContext::default()).is_err() {
            return false;
        }
        let Some(field) = field else { continue };
        if let (Some(inner), WireType::LengthDelimited) = (field.kind().as_message(), kind) {
            let mut content = &start[..start.len() - wire.len()];
            if encoding::decode_varint(&mut content).is_err() {
                continue;
            }
            if !field.is_list() && !field.is_map() {
                pieces.entry(number).or_insert_with(|| (inner.clone(), Vec::new())).1.extend(content);
            } else if misread_map(inner, content) {
                return true;
            }
        }
    }
    pieces.values().any(|(inner, content)| misread_map(inner, content))
}

/// Whether a value is there that a later one replaces. Ours is not looked at, and so cannot be found damaged.
fn replaces(descriptor: &MessageDescriptor, mut wire: &[u8]) -> bool {
    if let Some((held, value)) = unpacked(descriptor, wire) {
        return replaces(&held, &value);
    }
    let mut seen = HashSet::new();
    while !wire.is_empty() {
        let Ok((number, kind)) = encoding::decode_key(&mut wire) else { return false };
        let start = wire;
        let field = descriptor.get_field(number);
        let whole = encoding::skip_field(kind, number, &mut wire, encoding::DecodeContext::default()).is_ok();
        let Some(field) = field else { if whole { continue } else { return false } };
        let place = match field.containing_oneof() {
            Some(oneof) => oneof.full_name().to_owned(),
            // Keys are not compared here: of two entries of a map, one may replace the other.
            None if field.is_list() => String::new(),
            None => field.full_name().to_owned(),
        };
        if !place.is_empty() && !seen.insert(place) {
            return true;
        }
        if let (Some(inner), WireType::LengthDelimited) = (field.kind().as_message(), kind) {
            let mut content = &start[..start.len() - wire.len()];
            if encoding::decode_varint(&mut content).is_ok() && replaces(inner, content) {
                return true;
            }
        }
        if !whole {
            return false;
        }
    }
    false
}

/// Returns what an `Any` holds.
fn unpacked(descriptor: &MessageDescriptor, wire: &[u8]) -> Option<(MessageDescriptor, Vec<u8>)> {
    if descriptor.full_name() != "google.protobuf.Any" {
        return None;
    }
    let any = prost_types::Any::decode(wire).ok()?;
    let held = descriptor.parent_pool().get_message_by_name(any.type_url.rsplit('/').next()?)?;
    Some((held, any.value))
}
