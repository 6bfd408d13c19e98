//! What of a URL is no credential.

use http::Uri;

/// Returns scheme, host and port as they are written: chat services have credentials in the path. `None` for what is no URL.
pub fn origin(url: &str) -> Option<String> {
    let url: Uri = url.parse().ok()?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some([url.scheme_str()?, "://", url.host()?, &port].concat())
}
