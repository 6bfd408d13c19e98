//! Random types, and random messages of them in every spelling that the wire format allows.

use fastrand::Rng;
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumOptions, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileDescriptorSet, MessageOptions, OneofDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

/// Types per file.
const MESSAGES: usize = 5;
/// Levels of messages inside messages.
const DEPTH: usize = 5;

const KNOWN: &[&str] = &[
    "Any",
    "Timestamp",
    "Duration",
    "FieldMask",
    "Struct",
    "Value",
    "ListValue",
    "StringValue",
    "Int64Value",
    "BoolValue",
    "BytesValue",
    "DoubleValue",
    "Empty",
];

const SCALARS: &[Type] = &[
    Type::Double,
    Type::Float,
    Type::Int64,
    Type::Uint64,
    Type::Int32,
    Type::Fixed64,
    Type::Fixed32,
    Type::Bool,
    Type::String,
    Type::Bytes,
    Type::Uint32,
    Type::Sfixed32,
    Type::Sfixed64,
    Type::Sint32,
    Type::Sint64,
];

/// Makes types and messages from one seed.
pub(super) struct Generator {
    pub(super) rng: Rng,
    messages: Vec<DescriptorProto>,
    colors: EnumDescriptorProto,
}

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let messages = (0..MESSAGES).map(|i| message_type(&mut rng, i)).collect();
        let colors = color_type(&mut rng);
        Self { rng, messages, colors }
    }

    /// Returns the types, with the well-known ones they use.
    pub(super) fn file_set(&self) -> Vec<u8> {
        let google: Vec<FileDescriptorProto> =
            ["any", "timestamp", "duration", "field_mask", "struct", "wrappers", "empty"]
                .iter()
                .filter_map(|name| {
                    let path = format!("google/protobuf/{name}.proto");
                    prost_reflect::DescriptorPool::global()
                        .get_file_by_name(&path)
                        .map(|file| file.file_descriptor_proto().clone())
                })
                .collect();
        let ours = FileDescriptorProto {
            name: Some("random.proto".into()),
            package: Some("random".into()),
            syntax: Some("proto3".into()),
            dependency: google.iter().filter_map(|file| file.name.clone()).collect(),
            message_type: self.messages.clone(),
            enum_type: vec![self.colors.clone()],
            ..Default::default()
        };
        FileDescriptorSet { file: google.into_iter().chain([ours]).collect() }.encode_to_vec()
    }

    /// Returns the full name of one of the types.
    pub(super) fn message_name(&mut self) -> String {
        format!("random.M{}", self.rng.usize(..MESSAGES))
    }

    /// Makes a message of a type.
    pub(super) fn message(&mut self, full_name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        self.fill(full_name, &mut out, 0);
        out
    }

    fn fill(&mut self, full_name: &str, out: &mut Vec<u8>, depth: usize) {
        if let Some(known) = full_name.strip_prefix("google.protobuf.") {
            return self.known(known, out, depth);
        }
        let index: usize = full_name.trim_start_matches("random.M").parse().expect("ours are M0 to M4");
        let fields = self.messages[index].field.clone();
        for _ in 0..self.rng.usize(0..8) {
            let field = &fields[self.rng.usize(..fields.len())];
            match self.rng.u8(..20) {
                0 => self.unknown(out),
                1 if field.label() == Label::Repeated && packable(field.r#type()) => {
                    let mut values = Vec::new();
                    for _ in 0..self.rng.usize(0..4) {
                        self.scalar(field.r#type(), &mut values);
                    }
                    tag(out, field.number(), 2);
                    bytes(out, &values);
                }
                _ => self.field(index, field, out, depth),
            }
        }
    }

    fn field(&mut self, home: usize, field: &FieldDescriptorProto, out: &mut Vec<u8>, depth: usize) {
        let kind = field.r#type();
        if kind == Type::Message {
            if depth >= DEPTH {
                return;
            }
            let mut inner = Vec::new();
            let name = field.type_name().trim_start_matches('.').to_owned();
            match name.strip_prefix(&format!("random.M{home}.")) {
                Some(entry) => self.entry(home, entry, &mut inner, depth),
                None => self.fill(&name, &mut inner, depth + 1),
            }
            tag(out, field.number(), 2);
            return bytes(out, &inner);
        }
        tag(out, field.number(), wire_type(kind));
        self.scalar(kind, out);
    }

    fn entry(&mut self, home: usize, name: &str, out: &mut Vec<u8>, depth: usize) {
        let entry = self.messages[home].nested_type.iter().find(|nested| nested.name() == name);
        let fields = entry.expect("a map has an entry type").field.clone();
        for field in &fields {
            // Each part may be missing, or be there twice.
            for _ in 0..[0, 1, 1, 1, 1, 1, 2][self.rng.usize(..7)] {
                self.field(home, field, out, depth + 1);
            }
        }
    }

    fn known(&mut self, name: &str, out: &mut Vec<u8>, depth: usize) {
        match name {
            "Timestamp" | "Duration" => {
                let seconds = self.rng.i64(-62_135_596_800..253_402_300_800);
                let (seconds, nanos) = match (name, self.rng.u8(..4)) {
                    ("Timestamp", 0) => (seconds, 0),
                    ("Timestamp", _) => (seconds, self.rng.i64(0..1_000_000_000)),
                    (_, 0) => (-seconds.abs(), -self.rng.i64(0..1_000_000_000)),
                    _ => (seconds.abs(), 1_000_000 * self.rng.i64(0..1000)),
                };
                tag(out, 1, 0);
                varint(out, seconds as u64);
                tag(out, 2, 0);
                varint(out, nanos as u64);
            }
            "FieldMask" => {
                for _ in 0..self.rng.usize(0..4) {
                    tag(out, 1, 2);
                    bytes(out, ["a", "foo_bar", "a.b_c", "x1.y"][self.rng.usize(..4)].as_bytes());
                }
            }
            "Struct" if depth < DEPTH => {
                for _ in 0..self.rng.usize(0..3) {
                    let (mut entry, mut value) = (Vec::new(), Vec::new());
                    tag(&mut entry, 1, 2);
                    bytes(&mut entry, self.text().as_bytes());
                    self.known("Value", &mut value, depth + 1);
                    tag(&mut entry, 2, 2);
                    bytes(&mut entry, &value);
                    tag(out, 1, 2);
                    bytes(out, &entry);
                }
            }
            "ListValue" if depth < DEPTH => {
                for _ in 0..self.rng.usize(0..3) {
                    let mut value = Vec::new();
                    self.known("Value", &mut value, depth + 1);
                    tag(out, 1, 2);
                    bytes(out, &value);
                }
            }
            "Value" => self.value(out, depth),
            "Any" if depth < DEPTH => self.any(out, depth),
            "StringValue" => self.wrapped(Type::String, out),
            "BytesValue" => self.wrapped(Type::Bytes, out),
            "Int64Value" => self.wrapped(Type::Int64, out),
            "BoolValue" => self.wrapped(Type::Bool, out),
            "DoubleValue" => self.wrapped(Type::Double, out),
            _ => {}
        }
    }

    fn value(&mut self, out: &mut Vec<u8>, depth: usize) {
        match self.rng.u8(..6) {
            0 => {
                tag(out, 1, 0);
                varint(out, 0);
            }
            1 => {
                tag(out, 2, 1);
                out.extend_from_slice(&(f64::from(self.rng.i32(..)) / 8.0).to_le_bytes());
            }
            2 => {
                tag(out, 4, 0);
                varint(out, self.rng.u64(..2));
            }
            3 | 4 if depth < DEPTH => {
                let mut inner = Vec::new();
                let number = self.rng.i32(5..7);
                self.known(if number == 5 { "Struct" } else { "ListValue" }, &mut inner, depth + 1);
                tag(out, number, 2);
                bytes(out, &inner);
            }
            _ => {
                tag(out, 3, 2);
                bytes(out, self.text().as_bytes());
            }
        }
    }

    fn any(&mut self, out: &mut Vec<u8>, depth: usize) {
        let name = match self.rng.u8(..3) {
            // All but Empty, the last: the oracle prints it under "value", as only Go does.
            0 => format!("google.protobuf.{}", KNOWN[self.rng.usize(..KNOWN.len() - 1)]),
            _ => self.message_name(),
        };
        let mut inner = Vec::new();
        self.fill(&name, &mut inner, depth + 1);
        tag(out, 1, 2);
        bytes(out, format!("type.googleapis.com/{name}").as_bytes());
        tag(out, 2, 2);
        bytes(out, &inner);
    }

    fn wrapped(&mut self, kind: Type, out: &mut Vec<u8>) {
        if self.rng.bool() {
            tag(out, 1, wire_type(kind));
            self.scalar(kind, out);
        }
    }

    fn unknown(&mut self, out: &mut Vec<u8>) {
        let number = self.rng.i32(3000..3010);
        match self.rng.u8(..4) {
            0 => {
                tag(out, number, 3);
                tag(out, 1, 0);
                varint(out, 5);
                tag(out, number, 4);
            }
            1 => {
                tag(out, number, 5);
                out.extend_from_slice(&[1, 2, 3, 4]);
            }
            2 => {
                tag(out, number, 2);
                bytes(out, b"unknown");
            }
            _ => {
                tag(out, number, 0);
                varint(out, self.rng.u64(..));
            }
        }
    }

    fn scalar(&mut self, kind: Type, out: &mut Vec<u8>) {
        let small = self.rng.bool();
        let number = if small { self.rng.u64(..4) } else { self.rng.u64(..) >> self.rng.u32(..64) };
        match kind {
            Type::Double => {
                let value =
                    [0.0, -0.0, 1.5, f64::NAN, f64::INFINITY, f64::from_bits(number)][self.rng.usize(..6)];
                out.extend_from_slice(&value.to_le_bytes());
            }
            Type::Float => {
                let value = [0.0, 0.1, f32::NEG_INFINITY, f32::from_bits(number as u32)][self.rng.usize(..4)];
                out.extend_from_slice(&value.to_le_bytes());
            }
            Type::Fixed64 | Type::Sfixed64 => out.extend_from_slice(&number.to_le_bytes()),
            Type::Fixed32 | Type::Sfixed32 => out.extend_from_slice(&(number as u32).to_le_bytes()),
            Type::Bool => varint(out, number & 1),
            Type::Enum => varint(out, [0, 1, 2, 3, 4000, -3_i64 as u64, 77][self.rng.usize(..7)]),
            Type::String => bytes(out, self.text().as_bytes()),
            Type::Bytes => {
                let length = self.rng.usize(..9);
                let content: Vec<u8> = (0..length).map(|_| self.rng.u8(..)).collect();
                bytes(out, &content);
            }
            Type::Int32 => varint(out, i64::from(number as i32) as u64),
            Type::Uint32 | Type::Sint32 => varint(out, number & 0xffff_ffff),
            _ => varint(out, number),
        }
    }

    fn text(&mut self) -> String {
        const PARTS: &[&str] = &[
            "",
            "a",
            "plain words here",
            "zoë",
            "\"",
            "\\",
            "\n\t",
            "\u{1}",
            "日本",
            "🦀",
            "</x>",
            "\u{2028}",
        ];
        (0..self.rng.usize(..4)).map(|_| PARTS[self.rng.usize(..PARTS.len())]).collect()
    }
}

/// Changes a few bytes: flips, cuts, repeats.
pub(super) fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.usize(1..4) {
        if bytes.is_empty() {
            return bytes.push(rng.u8(..));
        }
        let at = rng.usize(..bytes.len());
        match rng.u8(..6) {
            0 => bytes[at] = rng.u8(..),
            1 => bytes[at] ^= 1 << rng.u8(..8),
            2 => bytes.truncate(at),
            3 => drop(bytes.remove(at)),
            4 => bytes.insert(at, b"\"{}[],:0e-.\\u tn\x08\x12"[rng.usize(..18)]),
            _ => {
                let end = rng.usize(at..=bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

fn message_type(rng: &mut Rng, index: usize) -> DescriptorProto {
    let mut message = DescriptorProto { name: Some(format!("M{index}")), ..Default::default() };
    message.oneof_decl.push(OneofDescriptorProto { name: Some("choice".into()), options: None });
    let mut number = 0;
    for i in 0..rng.usize(3..12) {
        number += [1, 1, 1, 2, 300][rng.usize(..5)];
        let (kind, type_name) = any_type(rng);
        let mut field =
            field(&format!("f_{i}_{}", ["a", "long_name", "x9"][rng.usize(..3)]), number, kind, type_name);
        match rng.u8(..6) {
            0 | 1 => field.label = Some(Label::Repeated.into()),
            2 => field.oneof_index = Some(0),
            3 => {
                let entry = map_entry(rng, &format!("F{i}Entry"), &field);
                field.r#type = Some(Type::Message.into());
                field.type_name = Some(format!(".random.M{index}.{}", entry.name()));
                field.label = Some(Label::Repeated.into());
                field.name = Some(format!("f{i}"));
                message.nested_type.push(entry);
            }
            _ => {}
        }
        field.json_name = Some(camel(field.name()));
        message.field.push(field);
    }
    if message.field.iter().all(|field| field.oneof_index.is_none()) {
        let mut field = field("chosen", number + 1, Type::String, None);
        field.oneof_index = Some(0);
        message.field.push(field);
    }
    message
}

fn any_type(rng: &mut Rng) -> (Type, Option<String>) {
    match rng.u8(..8) {
        0 => (Type::Message, Some(format!(".random.M{}", rng.usize(..MESSAGES)))),
        1 | 2 => (Type::Message, Some(format!(".google.protobuf.{}", KNOWN[rng.usize(..KNOWN.len())]))),
        3 => (Type::Enum, Some(".random.Color".into())),
        _ => (SCALARS[rng.usize(..SCALARS.len())], None),
    }
}

/// An enum whose numbers are declared in any order, many of them under two names.
fn color_type(rng: &mut Rng) -> EnumDescriptorProto {
    let mut values = [
        ("NOTHING", 0),
        ("RED", 1),
        ("CRIMSON", 1),
        ("GREEN", 2),
        ("LIME", 2),
        ("BLUE", 3),
        ("FAR", 4000),
        ("AWAY", 4000),
        ("NEGATIVE", -3),
        ("BELOW", -3),
    ];
    rng.shuffle(&mut values);
    // In proto3 the first is zero.
    let value = [("COLOR_UNSPECIFIED", 0)].into_iter().chain(values).map(|(name, number)| {
        EnumValueDescriptorProto { name: Some(name.into()), number: Some(number), options: None }
    });
    EnumDescriptorProto {
        name: Some("Color".into()),
        value: value.collect(),
        options: Some(EnumOptions { allow_alias: Some(true), ..Default::default() }),
        ..Default::default()
    }
}

fn map_entry(rng: &mut Rng, name: &str, value: &FieldDescriptorProto) -> DescriptorProto {
    let key =
        [Type::String, Type::Int32, Type::Uint64, Type::Bool, Type::Sint64, Type::Fixed32][rng.usize(..6)];
    let mut value = field("value", 2, value.r#type(), value.type_name.clone());
    value.json_name = Some("value".into());
    DescriptorProto {
        name: Some(name.into()),
        field: vec![field("key", 1, key, None), value],
        options: Some(MessageOptions { map_entry: Some(true), ..Default::default() }),
        ..Default::default()
    }
}

fn field(name: &str, number: i32, kind: Type, type_name: Option<String>) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.into()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(kind.into()),
        type_name,
        json_name: Some(camel(name)),
        ..Default::default()
    }
}

fn camel(name: &str) -> String {
    let mut raise = false;
    name.chars().fold(String::new(), |mut camel, letter| {
        match letter {
            '_' => raise = true,
            letter if std::mem::take(&mut raise) => camel.push(letter.to_ascii_uppercase()),
            letter => camel.push(letter),
        }
        camel
    })
}

fn packable(kind: Type) -> bool {
    !matches!(kind, Type::String | Type::Bytes | Type::Message | Type::Group)
}

fn wire_type(kind: Type) -> u8 {
    match kind {
        Type::Double | Type::Fixed64 | Type::Sfixed64 => 1,
        Type::Float | Type::Fixed32 | Type::Sfixed32 => 5,
        Type::String | Type::Bytes | Type::Message => 2,
        _ => 0,
    }
}

fn tag(out: &mut Vec<u8>, number: i32, kind: u8) {
    varint(out, (number as u64) << 3 | u64::from(kind));
}

fn varint(out: &mut Vec<u8>, value: u64) {
    prost::encoding::encode_varint(value, out);
}

fn bytes(out: &mut Vec<u8>, content: &[u8]) {
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}
