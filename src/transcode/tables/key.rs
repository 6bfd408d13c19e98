//! What a field is called in JSON, ready to be written.

/// Bytes of a key that are kept in the table itself, where one copy of constant length writes them. Nearly all names of
/// published APIs are shorter.
const SHORT: usize = 32;

/// `,"jsonName":`, escaped.
#[derive(Debug)]
pub(in crate::transcode) struct Key {
    /// The key and zeros, if it is short.
    short: [u8; SHORT],
    text: Box<[u8]>,
}

impl Key {
    pub(super) fn new(json_name: &str) -> Self {
        let mut text = Vec::with_capacity(json_name.len() + 4);
        text.push(b',');
        crate::transcode::text::put_str(&mut text, json_name);
        text.push(b':');
        let mut short = [0; SHORT];
        if let Some(head) = short.get_mut(..text.len()) {
            head.copy_from_slice(&text);
        }
        Self { short, text: text.into() }
    }

    /// Appends the key: with its comma if something stands before it.
    #[inline]
    pub(in crate::transcode) fn put(&self, out: &mut Vec<u8>, comma: bool) {
        let first = usize::from(!comma);
        if self.text.len() > SHORT {
            out.extend_from_slice(&self.text[first..]);
            return;
        }
        // More than the key, and then less: two stores and no call.
        let end = out.len() + self.text.len() - first;
        if comma {
            out.extend_from_slice(&self.short);
        } else {
            out.extend_from_slice(&self.short[1..]);
        }
        out.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_length_are_written_whole() {
        for length in 0..80 {
            let name = "x".repeat(length);
            let mut out = b"{".to_vec();
            Key::new(&name).put(&mut out, false);
            Key::new(&name).put(&mut out, true);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{{\"{name}\":,\"{name}\":"));
        }
    }
}
