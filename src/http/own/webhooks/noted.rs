//! What the audit log keeps of a request about webhooks: where events go, and which; no secret.

use serde_json::{Map, Value};

use crate::{
    crypto, egress,
    transcode::{Query, shortened},
};

/// What is kept as it came. Whatever else a body has, or will have, is left out.
const KEPT: [&str; 12] = [
    "description",
    "eventTypes",
    "upstreams",
    "kinds",
    "maxDeliveriesPerSecond",
    "maxConcurrentDeliveries",
    "state",
    "overlap",
    "startTime",
    "endTime",
    "skipSucceeded",
    "status",
];
/// Bytes of the digest of a URL that are kept.
const DIGEST_BYTES: usize = 8;
/// Bytes of what is kept; more is shortened.
const BYTES_MAX: usize = 8 * 1024;

/// Prints what may be kept of a body and its mask; nothing where there is neither.
pub(super) fn of(body: &Map<String, Value>, query: &str) -> String {
    let mut kept = Map::new();
    for name in KEPT {
        if let Some(value) = body.get(name) {
            kept.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(url) = body.get("url").and_then(Value::as_str) {
        kept.insert("urlDigest".to_owned(), digest(url).into());
        if let Some(origin) = egress::origin(url) {
            kept.insert("url".to_owned(), origin.into());
        }
    }
    // A value is likely a credential; the secret always is.
    if let Some(Value::Object(headers)) = body.get("headers") {
        kept.insert("headerNames".to_owned(), headers.keys().cloned().collect());
    }
    let mask = Query::parse(query, |_| true).map(|query| query.pairs).unwrap_or_default();
    let mask: Vec<_> = mask
        .into_iter()
        .filter(|(name, _)| matches!(&**name, "updateMask" | "update_mask"))
        .map(|(_, mask)| mask)
        .collect();
    if !mask.is_empty() {
        kept.insert("updateMask".to_owned(), mask.join(",").into());
    }
    if kept.is_empty() {
        return String::new();
    }
    shortened(Value::Object(kept).to_string(), BYTES_MAX)
}

/// Tells one URL from another without saying it.
fn digest(url: &str) -> String {
    let digest = crypto::sha256_of_each([url.as_bytes()]);
    digest[..DIGEST_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(body: &Value, query: &str) -> Value {
        serde_json::from_str(&of(body.as_object().unwrap(), query)).unwrap()
    }

    /// That events go to another host from now on could not be read from the log.
    #[test]
    fn where_events_go_is_kept_and_no_secret() {
        let body = json!({
            "url": "https://user:pass@hooks.example.com:8443/T0/s3cret?token=s3cret#x",
            "eventTypes": ["operation.*"],
            "headers": {"authorization": "Bearer s3cret"},
            "secret": "whsec_s3cret",
            "more": "s3cret",
        });
        let expected = json!({
            "url": "https://hooks.example.com:8443",
            "urlDigest": digest(body["url"].as_str().unwrap()),
            "eventTypes": ["operation.*"],
            "headerNames": ["authorization"],
            "updateMask": "url,eventTypes",
        });
        assert_eq!(kept(&body, "updateMask=url%2CeventTypes"), expected);
        for url in ["user:s3cret@host", "//u:s3cret@host/p", "?s3cret"] {
            assert_eq!(kept(&json!({"url": url}), "updateSecret=s3cret"), json!({"urlDigest": digest(url)}));
        }
        // What is odd leads somewhere all the same.
        for url in ["https:/\\u:s3cret@h", "https://u:s3cret@h\\x", "https:h/s3cret"] {
            let expected = json!({"url": "https://h", "urlDigest": digest(url)});
            assert_eq!(kept(&json!({"url": url}), "updateSecret=s3cret"), expected);
        }
        assert_eq!(of(&Map::new(), ""), "");
    }

    /// Where events go was left out with all the rest, if there was much of that.
    #[test]
    fn much_else_hides_nothing() {
        let body = json!({
            "url": "https://hooks.example.com/T0",
            "description": "x".repeat(9000),
            "headers": (0..500).map(|n| (format!("x-header-{n}"), json!("s3cret"))).collect::<Map<_, _>>(),
        });
        let kept = kept(&body, &format!("updateMask={}", "url,".repeat(2000)));
        assert_eq!(kept["url"], "https://hooks.example.com");
        assert!(kept["description"].as_str().unwrap().starts_with("xxx"), "{kept}");
        assert!(kept["updateMask"].as_str().unwrap().starts_with("url,url"), "{kept}");
        assert!(kept["headerNames"][0] == "x-header-0" && kept.to_string().len() <= BYTES_MAX, "{kept}");
    }
}
