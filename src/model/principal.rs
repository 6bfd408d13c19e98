//! Who calls.

use std::{fmt, str::FromStr};

/// The longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 512;

/// Somebody who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The name under which it is granted things and audited: as given when its key was created, or
    /// `<issuer name>:<sub>` of a token.
    pub id: String,
    /// How it proved that it is who it says.
    pub proof: Proof,
    /// What it may do.
    pub grants: Vec<Grant>,
}

/// How a principal authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Not at all: there is no authentication.
    None,
    /// By the API key with this id.
    ApiKey(String),
    /// By a token of the issuer with this name.
    Jwt(String),
}

/// A role on some resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What may be done.
    pub role: Role,
    /// To which resources, and all below them.
    pub resources: Vec<Pattern>,
}

/// What a grant allows. Each role includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reading.
    Viewer,
    /// And moving along what is there: cancel, stop, run, backfill, resend, ping.
    Operator,
    /// And changing things.
    Editor,
    /// And saying who may do what.
    Admin,
}

/// A resource name in which `*` stands for any text within a segment: `projects/acme-*`. It means the resources it
/// matches and everything below them; `*` alone means everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(String);

impl Principal {
    /// Returns the principal of a gateway without authentication, which may do everything.
    pub fn anonymous() -> Self {
        let everything = Grant { role: Role::Admin, resources: vec![Pattern::everything()] };
        Self { id: "anonymous".to_owned(), proof: Proof::None, grants: vec![everything] }
    }
}

impl Proof {
    /// Returns how the audit log names it: `none`, `apiKey` or `jwt`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ApiKey(_) => "apiKey",
            Self::Jwt(_) => "jwt",
        }
    }
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Editor, Self::Admin];

    /// Returns the name in configuration, API and database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }

    /// Finds a role by its name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl Pattern {
    /// Returns the pattern that means everything.
    pub fn everything() -> Self {
        Self("*".to_owned())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it means everything.
    pub fn is_everything(&self) -> bool {
        self.0 == "*"
    }
}

impl FromStr for Pattern {
    type Err = String;

    /// Reads a pattern. The error says what is wrong with it.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{text:?} is no resource pattern: {why}"));
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!("a resource pattern has at most {PATTERN_BYTES_MAX} bytes"));
        }
        if text.is_empty() {
            return wrong("it is empty; * means everything");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return wrong("it has spaces or control characters");
        }
        for segment in text.split('/') {
            match segment {
                "" => {
                    return wrong("it has an empty segment; write projects/acme-* without slashes around it");
                }
                "." | ".." => return wrong("no resource name has such a segment"),
                "-" => return wrong("- is no name; write * for any"),
                _ if segment.contains("**") => {
                    return wrong("a pattern means everything below it too; leave out **");
                }
                _ => {}
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_checked() {
        for right in ["*", "projects/acme-*", "projects/*/locations/eu-*", "operations", "projects/a.b:c"] {
            assert_eq!(right.parse::<Pattern>().map(|pattern| pattern.to_string()).as_deref(), Ok(right));
        }
        for wrong in
            ["", "/", "/projects/a", "projects/", "projects/**", "projects/-", "a b", "a/../b", "a\n"]
        {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn roles_have_names_and_an_order() {
        for role in Role::ALL {
            assert_eq!(Role::find(role.name()), Some(role));
        }
        assert!(Role::ALL.is_sorted());
        assert_eq!(Role::find("root"), None);
    }
}
