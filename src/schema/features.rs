//! Editions: what a feature set means, resolved from the file down to the field.
//!
//! proto2 and proto3 are two fixed feature sets; edition 2023 has defaults of its own and lets a file, a message, an
//! enum or a field override them. Newer editions are refused by name, since their defaults are not known here.

use super::proto::{Features, File};

const PROTO2_CLOSED: i32 = 2;
const EXPLICIT: i32 = 1;
const IMPLICIT: i32 = 2;
const LEGACY_REQUIRED: i32 = 3;
const OPEN: i32 = 1;
const PACKED: i32 = 1;
const EXPANDED: i32 = 2;
const VERIFY: i32 = 2;
const UTF8_NONE: i32 = 3;
const LENGTH_PREFIXED: i32 = 1;
const DELIMITED: i32 = 2;

/// Number of `EDITION_2023` in `google.protobuf.Edition`.
const EDITION_2023: i32 = 1000;

/// The feature values that decide how bytes and JSON look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    presence: i32,
    enum_type: i32,
    repeated: i32,
    utf8: i32,
    message: i32,
}

impl Resolved {
    /// Returns the defaults of a file's syntax, overridden by the file's own features.
    pub(super) fn of_file(file: &File) -> Result<Self, String> {
        let base = match (file.syntax.as_str(), file.edition) {
            ("" | "proto2", _) => Self {
                presence: EXPLICIT,
                enum_type: PROTO2_CLOSED,
                repeated: EXPANDED,
                utf8: UTF8_NONE,
                message: LENGTH_PREFIXED,
            },
            ("proto3", _) => Self {
                presence: IMPLICIT,
                enum_type: OPEN,
                repeated: PACKED,
                utf8: VERIFY,
                message: LENGTH_PREFIXED,
            },
            ("editions", EDITION_2023) => Self {
                presence: EXPLICIT,
                enum_type: OPEN,
                repeated: PACKED,
                utf8: VERIFY,
                message: LENGTH_PREFIXED,
            },
            ("editions", edition) => {
                return Err(format!(
                    "edition {edition} is not supported (proto2, proto3 and edition 2023 are); compile the file for an older edition"
                ));
            }
            (other, _) => return Err(format!("syntax {other:?} is not supported")),
        };
        Ok(base.overridden(file.options.as_ref().and_then(|options| options.features)))
    }

    /// Returns these features with the ones that an element sets itself.
    pub(super) fn overridden(self, by: Option<Features>) -> Self {
        let Some(by) = by else { return self };
        Self {
            presence: by.field_presence.unwrap_or(self.presence),
            enum_type: by.enum_type.unwrap_or(self.enum_type),
            repeated: by.repeated_field_encoding.unwrap_or(self.repeated),
            utf8: by.utf8_validation.unwrap_or(self.utf8),
            message: by.message_encoding.unwrap_or(self.message),
        }
    }

    pub(super) fn implicit_presence(self) -> bool {
        self.presence == IMPLICIT
    }

    pub(super) fn required(self) -> bool {
        self.presence == LEGACY_REQUIRED
    }

    pub(super) fn closed_enum(self) -> bool {
        self.enum_type == PROTO2_CLOSED
    }

    pub(super) fn packed(self) -> bool {
        self.repeated == PACKED
    }

    pub(super) fn delimited(self) -> bool {
        self.message == DELIMITED
    }
}
