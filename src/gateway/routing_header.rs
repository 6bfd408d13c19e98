//! `x-goog-request-params`: lets a front end of the upstream route a call without reading its message.

use std::{borrow::Cow, fmt::Write as _};

use crate::schema::FieldPath;

/// Bytes of the header. gRPC servers take 8 KiB of metadata and refuse calls with more; no resource has such a name, and
/// the name itself is in the message.
const BYTES_MAX: usize = 4096;

/// The bytes that are not encoded.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        plain[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/');
        byte += 1;
    }
    plain
};

/// Joins the template's variables and their values as `name=value&…`, values percent-encoded; `None` without variables, and
/// for names so long that the header would cost the call.
pub(super) fn of(variables: &[FieldPath], captures: &[Cow<'_, str>]) -> Option<String> {
    let bytes = |(variable, value): (&FieldPath, &Cow<'_, str>)| variable.as_str().len() + value.len() + 2;
    let mut text = String::with_capacity(variables.iter().zip(captures).map(bytes).sum());
    for (variable, value) in variables.iter().zip(captures) {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(variable.as_str());
        text.push('=');
        encode(value, &mut text);
    }
    (1..=BYTES_MAX).contains(&text.len()).then_some(text)
}

/// Leaves letters, digits, `-_.~` and the slash, which Google's own clients leave too.
fn encode(value: &str, out: &mut String) {
    let mut rest = value;
    while let Some(at) = rest.bytes().position(|byte| !PLAIN[usize::from(byte)]) {
        let (plain, encoded) = rest.split_at(at);
        out.push_str(plain);
        let one = encoded.chars().next().map_or(0, char::len_utf8);
        for byte in encoded[..one].bytes() {
            write!(out, "%{byte:02X}").expect("writing to a string does not fail");
        }
        rest = &encoded[one..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_and_joined() {
        let variables: Vec<FieldPath> =
            ["stream.name", "other"].iter().map(|path| path.parse().expect("a field path")).collect();
        let captures = [Cow::from("projects/example.com:p/c 1"), Cow::from("ä&=%")];
        assert_eq!(
            of(&variables, &captures).as_deref(),
            Some("stream.name=projects/example.com%3Ap/c%201&other=%C3%A4%26%3D%25")
        );
        assert_eq!(of(&[], &[]), None);
    }

    #[test]
    fn a_name_too_long_for_metadata_is_left_out() {
        let name: FieldPath = "name".parse().expect("a field path");
        let fits = BYTES_MAX - "name=".len();
        assert!(of(std::slice::from_ref(&name), &["a".repeat(fits).into()]).is_some());
        assert_eq!(of(&[name], &["a".repeat(fits + 1).into()]), None);
    }
}
