//! Where an upstream listens.

use std::{fmt, net::IpAddr};

use toml::Value;

use super::setting::{Setting, Why};

/// A scheme, a host and a port: `https://datastream.googleapis.com`, `http://127.0.0.1:9090`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
    host: String,
    port: u16,
    tls: bool,
}

impl Endpoint {
    /// Reads `http://host[:port]` or `https://host[:port]`, nothing after it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uri: http::Uri = text.parse().map_err(|error| format!("not a URL ({error})"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(other) => return Err(format!("the scheme {other} is not spoken here")),
            None => return Err("the scheme is missing: say http:// or https://".to_owned()),
        };
        let authority = uri.authority().ok_or("the host is missing")?;
        if authority.as_str().contains('@') {
            return Err("no user or password belongs here: use credentials".to_owned());
        }
        if uri.path() != "/" || uri.query().is_some() || text.ends_with('#') {
            return Err("nothing may follow host and port".to_owned());
        }
        let port = match authority.port() {
            Some(port) => port.as_str().parse().map_err(|_| "the port is not a number below 65536")?,
            None if authority.host().len() != authority.as_str().len() => {
                return Err("the port is not a number below 65536".to_owned());
            }
            None if tls => 443,
            None => 80,
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err("the host is missing".to_owned());
        }
        let url = format!("{}://{authority}", if tls { "https" } else { "http" });
        Ok(Self { url, host, port, tls })
    }

    /// Returns the URL without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Returns the host, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port, the scheme's own when none is written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Says whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Says whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl Setting for Endpoint {
    const EXPECTED: &'static str = r#"a URL such as "http://127.0.0.1:9090", or a list of them"#;

    fn read(value: &Value) -> Result<Self, Why> {
        Self::parse(value.as_str().ok_or_else(Why::default)?).map_err(Why::new)
    }

    fn show(&self) -> Value {
        Value::String(self.url.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_scheme_host_and_port() {
        let endpoint = Endpoint::parse("http://[::1]:9090/").unwrap();
        assert_eq!((endpoint.as_str(), endpoint.host(), endpoint.port()), ("http://[::1]:9090", "::1", 9090));
        assert!(endpoint.is_loopback() && !endpoint.is_tls());
        let google = Endpoint::parse("https://datastream.googleapis.com").unwrap();
        assert_eq!((google.port(), google.is_tls(), google.is_loopback()), (443, true, false));
    }

    #[test]
    fn an_endpoint_is_nothing_else() {
        for (text, why) in [
            ("127.0.0.1:9090", ""),
            ("localhost", "scheme is missing"),
            ("grpc://host", "scheme grpc"),
            ("http://host/path", "nothing may follow"),
            ("http://host?x=1", "nothing may follow"),
            ("http://user:pw@host", "use credentials"),
            ("http://host:99999", ""),
            ("", ""),
        ] {
            let error = Endpoint::parse(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
