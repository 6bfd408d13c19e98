//! Indents JSON that was printed without white space: for people, so after the fact and not on the fast path.

const INDENT: &[u8] = b"  ";

/// Appends `json`, valid and without white space, with one member per line. Returns `false`, having written a part, if
/// `out` would pass `bytes_max` bytes: deep lists of small things are mostly indentation.
pub(super) fn put_pretty(json: &[u8], out: &mut Vec<u8>, bytes_max: usize) -> bool {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        if out.len() > bytes_max {
            return false;
        }
        match byte {
            b'"' => {
                let end = at + string_length(&json[at..]);
                out.extend_from_slice(&json[at..end]);
                at = end;
                continue;
            }
            b'{' | b'[' if matches!(json.get(at + 1), Some(b'}' | b']')) => {
                out.extend_from_slice(&json[at..at + 2]);
                at += 2;
                continue;
            }
            b'{' | b'[' => {
                out.push(*byte);
                depth += 1;
                line(out, depth);
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(out, depth);
                out.push(*byte);
            }
            b',' => {
                out.push(b',');
                line(out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            byte => out.push(*byte),
        }
        at += 1;
    }
    out.push(b'\n');
    true
}

fn line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    for _ in 0..depth {
        out.extend_from_slice(INDENT);
    }
}

/// Measures the string at the front, quotes included.
fn string_length(json: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indents_and_leaves_strings_and_empty_things_alone() {
        let mut out = Vec::new();
        assert!(put_pretty(br#"{"a":[1,{"b":"x,:{\"}"}],"c":{},"d":[]}"#, &mut out, 1000));
        let wanted = "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x,:{\\\"}\"\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}\n";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }

    #[test]
    fn indentation_stops_at_the_limit() {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert!(!put_pretty(deep.as_bytes(), &mut Vec::new(), 1000));
    }
}
