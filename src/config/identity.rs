//! `[identity]`: who may call.

use std::net::{Ipv4Addr, Ipv6Addr};

use toml::{Table, Value};

use super::section::Section;
use super::setting::{Setting, Why, words};
use crate::model::Pattern;

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
    /// `issuers`: whose tokens are believed. Needed by the modes `jwt` and `both`.
    pub issuers: Vec<Issuer>,
}

/// One role for one principal on some resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// `principal`: e.g. `alice`, or `<issuer name>:<sub>`; a `*` at the end stands for any rest: `corp:*`.
    pub principal: String,
    /// `role`.
    pub role: Role,
    /// `resources`: patterns such as `projects/acme-*`.
    pub resources: Vec<String>,
}

/// Somebody whose tokens are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// `name`: what its principals are called by: `<name>:<sub>`.
    pub name: String,
    /// `issuer`: the `iss` of its tokens, to the letter.
    pub issuer: String,
    /// `audiences`: a token must be meant for one of them.
    pub audiences: Vec<String>,
    /// `jwks_url`: where its keys are. `https`, or `http` to loopback.
    pub jwks_url: String,
    /// `algorithms`: how its tokens may be signed. Default RS256, ES256 and EdDSA.
    pub algorithms: Vec<Algorithm>,
}

words! {
    /// How a token may be signed: with a private key, never with a shared secret.
    pub enum Algorithm {
        /// RSA, PKCS #1 v1.5, SHA-256.
        Rs256 = "RS256",
        /// RSA, PKCS #1 v1.5, SHA-384.
        Rs384 = "RS384",
        /// RSA, PKCS #1 v1.5, SHA-512.
        Rs512 = "RS512",
        /// RSA, PSS, SHA-256.
        Ps256 = "PS256",
        /// RSA, PSS, SHA-384.
        Ps384 = "PS384",
        /// RSA, PSS, SHA-512.
        Ps512 = "PS512",
        /// ECDSA on P-256.
        Es256 = "ES256",
        /// ECDSA on P-384.
        Es384 = "ES384",
        /// Ed25519.
        EdDsa = "EdDSA",
    }
}

impl Identity {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        let no_issuers = s.names_nothing("issuers");
        let identity = Self {
            mode: s.optional("mode"),
            grants: s.value("grants", Vec::new()),
            issuers: s.value("issuers", Vec::new()),
        };
        if identity.takes_tokens() && no_issuers {
            s.wrong("issuers", "missing; name whose tokens are believed, as [[identity.issuers]]");
        }
        for (at, issuer) in identity.issuers.iter().enumerate() {
            let before = &identity.issuers[..at];
            if before.iter().any(|other| other.name == issuer.name || other.issuer == issuer.issuer) {
                s.wrong("issuers", format!("{} is there twice, by name or by issuer", issuer.name));
            }
        }
        identity
    }

    /// Whether callers may show API keys.
    pub fn takes_keys(&self) -> bool {
        matches!(self.mode, Some(Mode::Keys | Mode::Both))
    }

    /// Whether callers may show tokens.
    pub fn takes_tokens(&self) -> bool {
        matches!(self.mode, Some(Mode::Jwt | Mode::Both))
    }
}

impl Setting for Issuer {
    const EXPECTED: &'static str = r#"{ name = "corp", issuer = "https://login.acme.example", audiences = ["causeway"], jwks_url = "https://login.acme.example/keys" }"#;

    fn read(value: &Value) -> Result<Self, Why> {
        let mut table = value.as_table().cloned().ok_or_else(Why::default)?;
        let mut take = |key: &str| table.remove(key).ok_or_else(|| Why::new(format!("{key} is missing")));
        let issuer = Self {
            name: String::read(&take("name")?)?,
            issuer: String::read(&take("issuer")?)?,
            audiences: Vec::read(&take("audiences")?)?,
            jwks_url: String::read(&take("jwks_url")?)?,
            algorithms: match take("algorithms") {
                Ok(given) => Vec::read(&given)
                    .map_err(|_| Why::new(format!("algorithms are {}", Algorithm::EXPECTED)))?,
                Err(_) => vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa],
            },
        };
        if !issuer.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            return Err(Why::new("name has letters, digits, and - _ . only"));
        }
        if issuer.audiences.is_empty() || issuer.algorithms.is_empty() {
            return Err(Why::new("audiences and algorithms are not empty"));
        }
        if !is_safe(&issuer.jwks_url) {
            return Err(Why::new("jwks_url begins with https:// (http:// is for loopback only)"));
        }
        // What is no secret elsewhere is shown as it is.
        if url::Url::parse(&issuer.jwks_url)
            .is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
        {
            return Err(Why::new("jwks_url has no user and no password: keys of issuers are public"));
        }
        match table.keys().next() {
            Some(key) => Err(Why::new(format!("unknown key {key}"))),
            None => Ok(issuer),
        }
    }

    fn show(&self) -> Value {
        Value::Table(Table::from_iter([
            ("name".to_owned(), self.name.show()),
            ("issuer".to_owned(), self.issuer.show()),
            ("audiences".to_owned(), self.audiences.show()),
            ("jwks_url".to_owned(), self.jwks_url.show()),
            ("algorithms".to_owned(), self.algorithms.show()),
        ]))
    }
}

/// Whether nobody on the way can put keys of their own in the place of the issuer's.
fn is_safe(url: &str) -> bool {
    if url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty()) {
        return true;
    }
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || v6.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()))
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
        for pattern in &grant.resources {
            pattern.parse::<Pattern>().map_err(Why::new)?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_issuers_come_over_a_safe_way() {
        for url in
            ["https://a.example/keys", "http://127.0.0.1:9/keys", "http://[::1]:9/k", "http://127.0.0.1"]
        {
            assert!(is_safe(url), "{url}");
        }
        for url in [
            "http://a.example/k",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1@evil.example/",
            "https://",
            "file:///k",
            "http://localhost/",
        ] {
            assert!(!is_safe(url), "{url}");
        }
    }
}
