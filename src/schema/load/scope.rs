//! Where an element of a file is, and what was written above it.

use std::{collections::HashMap, sync::Arc};

use super::{LoadError, PendingFile, qualified};
use crate::schema::{descriptor::Comment, features::Resolved, proto};

/// Where an element is: scope name, features in force, path for its comment.
pub(super) struct Scope<'a> {
    pub(super) file: &'a PendingFile,
    pub(super) name: String,
    pub(super) features: Resolved,
    pub(super) path: Vec<i32>,
}

impl Scope<'_> {
    pub(super) fn inner(&self, name: &str, features: Option<proto::Features>, path: &[i32]) -> Self {
        let mut full = self.path.clone();
        full.extend_from_slice(path);
        Scope {
            file: self.file,
            name: qualified(&self.name, name),
            features: self.features.overridden(features),
            path: full,
        }
    }

    pub(super) fn comment(&self, tail: &[i32]) -> Comment {
        let mut path = self.path.clone();
        path.extend_from_slice(tail);
        self.file.comments.get(&path).cloned()
    }

    pub(super) fn error(&self, why: &str) -> LoadError {
        LoadError(format!("{}: {}: {why}", self.file.label, self.name))
    }
}

/// Finds the comments of a file, by the paths of what they are about.
pub(super) fn comments(info: Option<proto::SourceCodeInfo>) -> HashMap<Vec<i32>, Arc<str>> {
    info.unwrap_or_default()
        .location
        .into_iter()
        .filter_map(|location| {
            let text = match location.leading_comments.trim() {
                "" => location.trailing_comments.trim(),
                leading => leading,
            };
            let lines: Vec<&str> = text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
            (!text.is_empty()).then(|| (location.path, lines.join("\n").into()))
        })
        .collect()
}
