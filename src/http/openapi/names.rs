//! Names of components: each stands for one thing.
//!
//! A message has its name without what all have in front, `datastream.v1.Stream`, and what is made of it that name and a
//! suffix, `datastream.v1.StreamInput`. Names of ours stay ours, a name of a message is never given to what is made of
//! another, and what finds its name taken gets a number. All types that are known have their names from the start, so that
//! the name of none of them depends on what else is served; the number of what is made of one may.

use std::collections::{HashMap, HashSet};

use super::schemas::{Form, short};
use crate::schema::{EnumId, MessageId, Pool};

/// Who has which name.
pub(super) struct ComponentNames {
    messages: Vec<String>,
    enums: Vec<String>,
    /// Names of ours and of all types.
    reserved: HashSet<String>,
    /// Those of messages in their forms.
    given: HashMap<(MessageId, Form, &'static str), String>,
    taken: HashSet<String>,
}

impl ComponentNames {
    /// Names all types of a pool; `ours` are taken.
    pub(super) fn new(pool: &Pool, ours: impl IntoIterator<Item = String>) -> Self {
        let mut reserved: HashSet<String> = ours.into_iter().collect();
        let full_names: Vec<&str> = pool
            .messages()
            .map(|(_, message)| &*message.full_name)
            .chain(pool.enums().map(|(_, enumeration)| &*enumeration.full_name))
            .collect();
        let mut names = vec![String::new(); full_names.len()];
        // What everybody knows by its short name keeps that, whoever calls a package `rpc`.
        for shortened in [true, false] {
            for (name, full_name) in names.iter_mut().zip(&full_names) {
                let short = short(full_name);
                if (short.len() < full_name.len()) == shortened {
                    let wanted = if reserved.contains(short) { full_name } else { short };
                    *name = free(wanted, |name| reserved.contains(name));
                    reserved.insert(name.clone());
                }
            }
        }
        let enums = names.split_off(pool.messages().count());
        Self { messages: names, enums, reserved, given: HashMap::new(), taken: HashSet::new() }
    }

    /// Returns the name of an enum, and whether it was asked for the first time.
    pub(super) fn enumeration(&mut self, id: EnumId) -> (String, bool) {
        let name = self.enums[id.index()].clone();
        let is_new = self.taken.insert(name.clone());
        (name, is_new)
    }

    /// Returns the name of a message in one of its forms, and whether it was asked for the first time.
    pub(super) fn message(&mut self, id: MessageId, form: Form, suffix: &'static str) -> (String, bool) {
        if let Some(name) = self.given.get(&(id, form, suffix)) {
            return (name.clone(), false);
        }
        let plain = &self.messages[id.index()];
        let others = |name: &str| name != plain && self.reserved.contains(name);
        let name = free(&format!("{plain}{suffix}"), |name| self.taken.contains(name) || others(name));
        self.taken.insert(name.clone());
        self.given.insert((id, form, suffix), name.clone());
        (name, true)
    }
}

/// Returns a name that is not taken: the one that is wanted, else that with a number.
fn free(wanted: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut name = wanted.to_owned();
    let mut number = 2;
    while is_taken(&name) {
        name = format!("{wanted}_{number}");
        number += 1;
    }
    name
}
