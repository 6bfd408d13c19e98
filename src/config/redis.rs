//! `[redis]`: what replicas share besides the database.

use std::{fmt, path::PathBuf};

use toml::Value;

use super::secret::SecretUrl;
use super::section::Section;
use super::setting::{Setting, Why};
use super::upstream_parts::ClientCertificate;

/// Nodes of a cluster that can be named: those found through them are not counted.
const NODES_MAX: usize = 64;

/// The link to Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redis {
    /// `url`: one server, or nodes of a cluster.
    pub url: Option<RedisUrl>,
    /// `tls`: how Redis and the gateway prove to each other who they are.
    pub tls: RedisTls,
}

/// Where Redis is: `redis://user:password@host:port/database`, or `rediss://…` with TLS. A cluster is
/// `redis+cluster://user:password@host:port,host:port` or `rediss+cluster://…`: some of its nodes, of which one has to
/// answer for all to be found. Prints without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    whole: SecretUrl,
    nodes: Vec<SecretUrl>,
    is_cluster: bool,
}

/// How Redis and the gateway prove to each other who they are. Has a meaning with TLS only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// `ca_file`: PEM file with the roots to trust. Default the machine's.
    pub ca_file: Option<PathBuf>,
    /// `certificate`, `key`: what the gateway shows. Default nothing.
    pub client: Option<ClientCertificate>,
}

impl Redis {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        let url = s.optional::<RedisUrl>("url");
        let tls = s.section("tls", |s| RedisTls {
            client: ClientCertificate::read(s),
            ca_file: s.optional("ca_file"),
        });
        if tls != RedisTls::default() && !url.as_ref().is_some_and(RedisUrl::is_tls) {
            s.wrong(
                "tls",
                "would not be used; redis.url begins with rediss:// or rediss+cluster:// where TLS is spoken",
            );
        }
        Self { url, tls }
    }
}

impl RedisUrl {
    /// Reads it. The error repeats nothing of the text, in which a password may be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("the scheme is missing")?;
        let (plain, is_cluster) = match scheme {
            "redis" | "rediss" => (scheme, false),
            "redis+cluster" => ("redis", true),
            "rediss+cluster" => ("rediss", true),
            _ => return Err("that scheme is none of Redis's".to_owned()),
        };
        if rest.contains('#') {
            return Err("a # is written %23".to_owned());
        }
        if rest.contains("://") {
            return Err("scheme, user and password are written once, for all nodes".to_owned());
        }
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        if !is_cluster && hosts.contains(',') {
            return Err(format!("several hosts are nodes of a cluster, {plain}+cluster://"));
        }
        let database = tail.split('?').next().unwrap_or_default();
        if is_cluster && !matches!(database, "" | "/" | "/0") {
            return Err("a cluster has the database 0 only".to_owned());
        }
        let nodes: Vec<&str> = hosts.split(',').map(str::trim).collect();
        if nodes.len() > NODES_MAX {
            return Err(format!("{NODES_MAX} nodes are enough to find the others"));
        }
        let node = |(at, host): (usize, &&str)| {
            let text = format!("{plain}://{user}{host}{tail}");
            let has_host = |url: &url::Url| url.host_str().is_some_and(|host| !host.is_empty());
            match url::Url::parse(&text).is_ok_and(|url| has_host(&url)) {
                true => Ok(SecretUrl::new(text)),
                false if is_cluster => Err(format!("node {} is no host:port", at + 1)),
                false => {
                    Err("there is no host:port in it (a / ? @ or : in a password is written %2F %3F %40 %3A)"
                        .to_owned())
                }
            }
        };
        let nodes = nodes.iter().enumerate().map(node).collect::<Result<_, _>>()?;
        Ok(Self { whole: SecretUrl::new(text.to_owned()), nodes, is_cluster })
    }

    /// Returns one URL for each server that is named, `redis://…` or `rediss://…`. Never empty.
    pub fn nodes(&self) -> &[SecretUrl] {
        &self.nodes
    }

    /// Says whether the servers are nodes of a cluster.
    pub fn is_cluster(&self) -> bool {
        self.is_cluster
    }

    /// Says whether TLS is spoken.
    pub fn is_tls(&self) -> bool {
        self.whole.expose().starts_with("rediss")
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.whole, f)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Setting for RedisUrl {
    const EXPECTED: &'static str =
        "redis://host:port, redis+cluster://host:port,host:port, or either with rediss for TLS";
    const SECRET: bool = true;

    fn read(value: &Value) -> Result<Self, Why> {
        Self::parse(value.as_str().unwrap_or_default()).map_err(Why::new)
    }

    fn show(&self) -> Value {
        Value::String(self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_is_one_and_a_cluster_is_its_nodes() {
        let nodes = |text: &str| -> Vec<String> {
            let url = RedisUrl::parse(text).unwrap();
            assert_eq!(url.is_cluster(), text.contains("+cluster"), "{text}");
            assert_eq!(url.is_tls(), text.starts_with("rediss"), "{text}");
            url.nodes().iter().map(|node| node.expose().to_owned()).collect()
        };
        assert_eq!(nodes("redis://cache"), ["redis://cache"]);
        assert_eq!(nodes("rediss://u:p@cache:1/3?protocol=3"), ["rediss://u:p@cache:1/3?protocol=3"]);
        assert_eq!(
            nodes("redis+cluster://u:a,b%40@one:1, [::1]:2,three/0"),
            ["redis://u:a,b%40@one:1/0", "redis://u:a,b%40@[::1]:2/0", "redis://u:a,b%40@three/0"]
        );
        assert_eq!(nodes("rediss+cluster://:p@one:1"), ["rediss://:p@one:1"]);
    }

    #[test]
    fn a_wrong_one_says_why_and_shows_no_password() {
        for (text, why) in [
            ("hunter2@cache:6379", "the scheme is missing"),
            ("http://:hunter2@cache", "that scheme is none of Redis's"),
            ("redis://:hunter2@one:1,two:2", "several hosts are nodes of a cluster, redis+cluster://"),
            ("rediss://one:1,two:2", "several hosts are nodes of a cluster, rediss+cluster://"),
            ("redis+cluster://:hunter2@one:1,two:2/3", "a cluster has the database 0 only"),
            ("redis+cluster://:hunter2@one:1,,two:2", "node 2 is no host:port"),
            ("redis+cluster://:hunter2@one:1,two:x", "node 2 is no host:port"),
            ("redis+cluster://one:1,redis://:hunter2@two:2", "written once, for all nodes"),
            ("redis+cluster://", "node 1 is no host:port"),
            ("redis://:hunter2#@cache", "a # is written %23"),
            ("redis://:hunter2@:::", "there is no host:port in it"),
        ] {
            let error = RedisUrl::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let url = RedisUrl::parse("redis+cluster://u:hunter2@one:1,two:2").unwrap();
        assert_eq!(format!("{url:?}"), "redis+cluster://u:<hidden>@one:1,two:2");
    }
}
