//! `[identity]`: who may call.

use toml::{Table, Value};

use super::section::Section;
use super::setting::{Setting, Why, words};

words! {
    /// How callers prove who they are.
    pub enum Mode {
        /// They do not: everybody is `anonymous`. Loopback only.
        None = "none",
        /// By API key.
        Keys = "keys",
        /// By JSON Web Token.
        Jwt = "jwt",
        /// By either.
        Both = "both",
    }
}

words! {
    /// What a grant allows.
    pub enum Role {
        /// Reading.
        Viewer = "viewer",
        /// Reading, and moving along what is there.
        Operator = "operator",
        /// All of that, and changing things.
        Editor = "editor",
        /// Everything.
        Admin = "admin",
    }
}

/// Who may call, and what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `mode`: no default; a gateway without authentication is something one has to say.
    pub mode: Option<Mode>,
    /// `grants`: roles given in the configuration.
    pub grants: Vec<Grant>,
}

/// One role for one principal on some resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// `principal`: e.g. `alice`, or `<issuer name>:<sub>`.
    pub principal: String,
    /// `role`.
    pub role: Role,
    /// `resources`: patterns such as `projects/acme-*`.
    pub resources: Vec<String>,
}

impl Identity {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        s.without_effect("grants");
        let mode = s.optional("mode");
        if matches!(mode, Some(Mode::Keys | Mode::Jwt | Mode::Both)) {
            s.not_available("mode", r#"set "none" and keep http.listen on loopback"#);
        }
        Self { mode, grants: s.value("grants", Vec::new()) }
    }
}

impl Setting for Grant {
    const EXPECTED: &'static str =
        r#"{ principal = "alice", role = "viewer", resources = ["projects/acme-*"] }"#;

    fn read(value: &Value) -> Result<Self, Why> {
        let mut table = value.as_table().cloned().ok_or_else(Why::default)?;
        let mut take = |key: &str| table.remove(key).ok_or_else(|| Why::new(format!("{key} is missing")));
        let grant = Self {
            principal: String::read(&take("principal")?)?,
            role: Role::read(&take("role")?).map_err(|_| Why::new(format!("role is {}", Role::EXPECTED)))?,
            resources: Vec::read(&take("resources")?)?,
        };
        match table.keys().next() {
            Some(key) => Err(Why::new(format!("unknown key {key}"))),
            None => Ok(grant),
        }
    }

    fn show(&self) -> Value {
        Value::Table(Table::from_iter([
            ("principal".to_owned(), self.principal.show()),
            ("role".to_owned(), self.role.show()),
            ("resources".to_owned(), self.resources.show()),
        ]))
    }
}
