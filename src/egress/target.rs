//! An address as a caller writes it, read by one parser, and what can be refused before anybody asks DNS.

use std::{fmt, net::IpAddr};

use url::{Host, Url};

use super::{Policy, deny};

/// Bytes of an address.
const URL_BYTES_MAX: usize = 2048;
/// Ports that may be called anywhere; others only where the operator allowed the network.
const PORTS: [u16; 2] = [443, 8443];
/// Ports that may be called without encryption, where that is allowed at all.
const PORTS_HTTP: [u16; 2] = [80, 8080];

/// An address that may be called, as far as its text tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    url: Url,
    host: Host<String>,
    port: u16,
}

/// Which rule an address breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It is not a URL.
    Syntax,
    /// It is too long.
    Length,
    /// Neither `https` nor, where allowed, `http`.
    Scheme,
    /// It carries a user or a password.
    UserInfo,
    /// It carries a fragment, which is never sent.
    Fragment,
    /// The port is not one of those that may be called.
    Port,
    /// It leads to an address that is not public.
    Address,
}

/// Why an address is not called. Final: trying again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// What is wrong and how an operator could allow it.
    pub text: String,
}

impl Refusal {
    fn new(rule: Rule, text: impl Into<String>) -> Self {
        Self { rule, text: text.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Target {
    /// Reads an address. A host that is an IP address is judged here; a name only when it is resolved.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &str, policy: &Policy) -> Result<Self, Refusal> {
        if text.len() > URL_BYTES_MAX {
            return Err(Refusal::new(Rule::Length, format!("longer than {URL_BYTES_MAX} bytes")));
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Refusal::new(Rule::Syntax, "has a space or a control character; percent-encode it"));
        }
        let url = Url::parse(text).map_err(|error| {
            Refusal::new(Rule::Syntax, format!("not a URL such as https://host/path: {error}"))
        })?;
        match url.scheme() {
            "https" => {}
            "http" if policy.allow_http => {}
            "http" => {
                let text = "http is not encrypted; use https (webhooks.allow_http would allow it)";
                return Err(Refusal::new(Rule::Scheme, text));
            }
            _ => return Err(Refusal::new(Rule::Scheme, "the scheme must be https")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::new(Rule::UserInfo, "must not hold a user or a password; use headers"));
        }
        if url.fragment().is_some() {
            return Err(Refusal::new(Rule::Fragment, "must not have a fragment (#…): it is never sent"));
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Refusal::new(Rule::Syntax, "has no host"));
        };
        let target = Self { host: host.to_owned(), port, url };
        if let Some(address) = target.literal() {
            target.vet(address, policy)?;
        } else if policy.allow.is_empty() {
            target.vet_port()?;
        }
        Ok(target)
    }

    /// Judges one address that the host resolved to.
    pub(super) fn vet(&self, address: IpAddr, policy: &Policy) -> Result<(), Refusal> {
        if policy.allow.iter().any(|network| network.contains(address)) {
            return Ok(());
        }
        if let Some(rule) = deny::rule(address) {
            let text = match self.literal() {
                Some(_) => format!("{address} is not public ({rule}); webhooks.allow_cidrs would allow it"),
                // Where names within the operator's network lead is not for owners of endpoints to find out.
                None => {
                    tracing::debug!(host = %self.host, %address, rule, "an address that is not public");
                    format!(
                        "{} leads to an address that is not public ({rule}); webhooks.allow_cidrs would allow it",
                        self.host
                    )
                }
            };
            return Err(Refusal::new(Rule::Address, text));
        }
        self.vet_port()
    }

    fn vet_port(&self) -> Result<(), Refusal> {
        let ports: &[u16] = if self.is_https() { &PORTS } else { &PORTS_HTTP };
        if ports.contains(&self.port) {
            return Ok(());
        }
        let [a, b] = [ports[0], ports[1]];
        let text = format!(
            "port {} may not be called, only {a} and {b} (others in networks of webhooks.allow_cidrs)",
            self.port
        );
        Err(Refusal::new(Rule::Port, text))
    }

    /// The host, where it is an address and not a name.
    pub(super) fn literal(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some((*address).into()),
            Host::Ipv6(address) => Some((*address).into()),
        }
    }

    /// The host as TLS and DNS know it: no brackets.
    pub(super) fn name(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        }
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// What the `Host` header says.
    pub(super) fn authority(&self) -> String {
        match self.url.port() {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }

    /// Path and query.
    pub(super) fn path(&self) -> &str {
        &self.url[url::Position::BeforePath..url::Position::AfterQuery]
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule that an address breaks where nothing is allowed; `None` if it may be called.
    fn broken(text: &str) -> Option<Rule> {
        Target::parse(text, &Policy::default()).err().map(|refusal| refusal.rule)
    }

    #[test]
    fn every_way_to_write_an_address_is_judged_by_what_it_is() {
        for (text, rule) in [
            ("https://127.1", Rule::Address),
            ("https://0x7f000001", Rule::Address),
            ("https://2130706433", Rule::Address),
            ("https://0177.0.0.1", Rule::Address),
            ("https://127.0.0.1./", Rule::Address),
            ("https://１２７.０.０.１/", Rule::Address),
            ("https://127。0。0。1/", Rule::Address),
            ("https://%31%32%37.0.0.1/", Rule::Address),
            ("https://[::ffff:169.254.169.254]", Rule::Address),
            ("https://[::127.0.0.1]", Rule::Address),
            ("https://[::1]:443/", Rule::Address),
            ("https://[64:ff9b::7f00:1]", Rule::Address),
            ("https://[2002:7f00:1::]", Rule::Address),
            ("https://169.254.169.254/latest/meta-data", Rule::Address),
            ("HTTPS://10.0.0.1/", Rule::Address),
            ("https://[fe80::1%25eth0]", Rule::Syntax),
            ("https://256.256.256.256/", Rule::Syntax),
            ("https://", Rule::Syntax),
            ("not a url", Rule::Syntax),
            ("https://exam ple.com/", Rule::Syntax),
            ("https://example.com/\r\nx: y", Rule::Syntax),
            ("/relative", Rule::Syntax),
            ("", Rule::Syntax),
            ("http://example.com/", Rule::Scheme),
            ("http://127.1", Rule::Scheme),
            ("file:///etc/passwd", Rule::Scheme),
            ("gopher://example.com/", Rule::Scheme),
            ("ftp://example.com/", Rule::Scheme),
            ("https://user@evil@10.0.0.1/", Rule::UserInfo),
            ("https://user:pass@example.com/", Rule::UserInfo),
            ("https://:pass@example.com/", Rule::UserInfo),
            ("https://example.com/#x", Rule::Fragment),
            ("https://example.com:22/", Rule::Port),
            ("https://example.com:80/", Rule::Port),
            ("https://8.8.8.8:6379/", Rule::Port),
        ] {
            assert_eq!(broken(text), Some(rule), "{text}");
        }
        assert_eq!(broken(&format!("https://example.com/{}", "x".repeat(70_000))), Some(Rule::Length));
    }

    #[test]
    fn ordinary_addresses_may_be_called() {
        for text in [
            "https://example.com",
            "HTTPS://EXAMPLE.com/hook?x=1",
            "https://example.com:8443/a",
            "https://bücher.example/",
            "https://8.8.8.8/",
            "https://[2606:4700::1111]/",
            "https://example.com./",
        ] {
            assert_eq!(broken(text), None, "{text}");
        }
    }

    #[test]
    fn the_operator_opens_networks_and_http() {
        let policy = Policy { allow: vec!["127.0.0.0/8".parse().unwrap()], allow_http: true };
        for text in [
            "http://127.0.0.1:9001/hook",
            "https://127.1:22/",
            "http://[::ffff:127.0.0.1]:9/",
            "http://8.8.8.8/",
        ] {
            Target::parse(text, &policy).unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
        }
        for (text, rule) in [
            ("http://10.0.0.1:9001/", Rule::Address),
            ("http://8.8.8.8:22/", Rule::Port),
            ("http://8.8.8.8:443/", Rule::Port),
        ] {
            assert_eq!(Target::parse(text, &policy).unwrap_err().rule, rule, "{text}");
        }
    }

    #[test]
    fn what_is_sent_is_what_was_parsed() {
        let target = Target::parse(
            "https://Bücher.example:8443/a b?c=d".replace(' ', "%20").as_str(),
            &Policy::default(),
        )
        .unwrap();
        assert_eq!(target.authority(), "xn--bcher-kva.example:8443");
        assert_eq!(target.path(), "/a%20b?c=d");
        let plain = Target::parse("https://example.com", &Policy::default()).unwrap();
        assert_eq!((plain.authority().as_str(), plain.path()), ("example.com", "/"));
    }
}
