//! `[schema]`: what is known about services beyond those built in.

use std::path::PathBuf;

use super::section::Section;

/// Descriptors of further services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// `descriptor_sets`: files with a serialised `google.protobuf.FileDescriptorSet`, imports included.
    pub descriptor_sets: Vec<PathBuf>,
}

impl Schema {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self { descriptor_sets: s.value("descriptor_sets", Vec::new()) }
    }
}
