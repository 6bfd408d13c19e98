//! JSON for which there is not enough room: what can be shown of it.
//!
//! Long texts are shown by how they begin, long lists by how they begin and end, and how much is left out is said where it
//! was. The members of an object share the room, so that none hides behind another, and no element of a list has all of it.

use super::json::{Next, Reader};
use crate::error::Result;

/// Bytes of a text that are shown.
const TEXT_BYTES_MAX: usize = 256;
/// Objects and lists inside one another that are shown.
const DEPTH_MAX: usize = 8;
/// What an element of a list takes at least, and one over how much of the room is left to those behind it.
const ELEMENT_BYTES: usize = 16;
const ELEMENT_SHARE: usize = 4;
/// Bytes of a number that are shown: no number of a message is longer.
const NUMBER_BYTES_MAX: usize = 32;
/// What is said of what is left out, and what closes the lists and objects around it, takes less than this.
const CLOSING_BYTES: usize = 512;

/// Returns a JSON text, shortened to `bytes_max` bytes if it is longer. Of what is no JSON, only how long it is.
pub fn shortened(json: String, bytes_max: usize) -> String {
    if json.len() <= bytes_max {
        return json;
    }
    let mut out = String::with_capacity(bytes_max);
    let mut writer = Writer { reader: Reader::of_str(&json), out: &mut out };
    let written = writer.value(bytes_max.saturating_sub(CLOSING_BYTES), 0);
    if written.is_ok() && out.len() <= bytes_max {
        return out;
    }
    format!("{{\"…\":\"{} bytes\"}}", json.len())
}

struct Writer<'j, 'o> {
    reader: Reader<'j>,
    out: &'o mut String,
}

impl Writer<'_, '_> {
    /// Writes the next value so that `out` has about `end` bytes at most.
    fn value(&mut self, end: usize, depth: usize) -> Result<()> {
        match self.reader.peek()? {
            Next::String => {
                let text = self.reader.string()?;
                self.text(&text, end);
                Ok(())
            }
            Next::Object | Next::List if depth >= DEPTH_MAX => {
                self.out.push_str("\"…\"");
                self.reader.skip()
            }
            Next::Object => self.object(end, depth + 1),
            Next::List => self.list(end, depth + 1),
            Next::Number | Next::True | Next::False | Next::Null => self.word(),
        }
    }

    fn word(&mut self) -> Result<()> {
        let word = match self.reader.peek()? {
            Next::Number => self.reader.number()?,
            Next::True => "true",
            Next::False => "false",
            _ => "null",
        };
        if word.as_bytes()[0].is_ascii_alphabetic() {
            self.reader.literal(word)?;
        }
        self.out.push_str(if word.len() <= NUMBER_BYTES_MAX { word } else { "\"…\"" });
        Ok(())
    }

    fn text(&mut self, text: &str, end: usize) {
        let room = TEXT_BYTES_MAX.min(end.saturating_sub(self.out.len()));
        let mut shown = text.len().min(room);
        loop {
            shown = text.floor_char_boundary(shown);
            let more = match text.len() - shown {
                0 => String::new(),
                _ => format!("… ({} bytes)", text.len()),
            };
            let printed = serde_json::Value::String(format!("{}{more}", &text[..shown])).to_string();
            // Escaped, a text may take six times as much.
            if shown == 0 || printed.len() <= room + more.len() + 2 {
                self.out.push_str(&printed);
                return;
            }
            shown /= 2;
        }
    }

    fn list(&mut self, end: usize, depth: usize) -> Result<()> {
        let count = self.elements()?;
        self.reader.list()?;
        self.out.push('[');
        // The last has its part of the room, whatever is before it, if there is enough to be shared.
        let last_end = end.saturating_sub(self.out.len()) / (2 * ELEMENT_SHARE);
        let (mut seen, mut left) = (0, 0);
        while self.reader.element(seen == 0)? {
            let behind = count - seen;
            seen += 1;
            let end = if behind == 1 { end } else { end - last_end };
            let share = end.saturating_sub(self.out.len()) / behind.min(ELEMENT_SHARE);
            if share < ELEMENT_BYTES || (left > 0 && behind > 1) {
                left += 1;
                self.reader.skip()?;
                continue;
            }
            if left > 0 {
                self.more(left);
                left = 0;
            }
            self.comma('[');
            self.value(self.out.len() + share, depth)?;
        }
        if left > 0 {
            self.more(left);
        }
        self.out.push(']');
        Ok(())
    }

    /// Says how many elements are not shown.
    fn more(&mut self, left: usize) {
        self.comma('[');
        self.out.push_str(&format!("\"… {left} more\""));
    }

    /// Counts the elements of the list that comes next.
    fn elements(&self) -> Result<usize> {
        let mut reader = self.reader.clone();
        reader.list()?;
        let mut count = 0;
        while reader.element(count == 0)? {
            count += 1;
            reader.skip()?;
        }
        Ok(count)
    }

    fn object(&mut self, end: usize, depth: usize) -> Result<()> {
        let mut members = self.members()?;
        self.reader.object()?;
        self.out.push('{');
        let (mut first, mut left) = (true, 0);
        while let Some(key) = self.reader.key(first)? {
            first = false;
            let share = end.saturating_sub(self.out.len()) / members;
            members -= 1;
            if key.len() > TEXT_BYTES_MAX || share < key.len() + ELEMENT_BYTES {
                left += 1;
                self.reader.skip()?;
                continue;
            }
            let end = self.out.len() + share;
            self.comma('{');
            self.text(&key, end);
            self.out.push(':');
            self.value(end, depth)?;
        }
        if left > 0 {
            self.comma('{');
            self.out.push_str(&format!("\"…\":\"{left} more\""));
        }
        self.out.push('}');
        Ok(())
    }

    /// Counts the members of the object that comes next.
    fn members(&self) -> Result<usize> {
        let mut reader = self.reader.clone();
        reader.object()?;
        let mut count = 0;
        while reader.key(count == 0)?.is_some() {
            count += 1;
            reader.skip()?;
        }
        Ok(count)
    }

    fn comma(&mut self, opening: char) {
        if !self.out.ends_with(opening) {
            self.out.push(',');
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ROOM: usize = 2048;

    fn short(value: &Value) -> Value {
        let text = shortened(value.to_string(), ROOM);
        assert!(text.len() <= ROOM);
        serde_json::from_str(&text).expect("it is JSON, and not nothing")
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let text = json!({"a": ["x".repeat(1000), 1, true, null]}).to_string();
        assert_eq!(shortened(text.clone(), ROOM), text);
    }

    #[test]
    fn nothing_hides_behind_much_else() {
        let members: Vec<String> = (0..500).map(|n| format!("user:{n}@example.com")).collect();
        let value = json!({
            "a": "é".repeat(9000),
            "b": members,
            "c": {"d": {"e": "\u{1}".repeat(5000)}, "f": 7.5},
            "k".repeat(300): 1,
            "z": {"url": "https://example.com", "on": false},
        });
        let short = short(&value);
        assert!(short["a"].as_str().unwrap().ends_with("é… (18000 bytes)"), "{short}");
        assert_eq!(short["b"][0], "user:0@example.com");
        let list = short["b"].as_array().unwrap();
        let more = list[list.len() - 2].as_str().unwrap();
        assert!(more.starts_with("… ") && more.ends_with(" more"), "{more}");
        assert_eq!(list.last().unwrap(), "user:499@example.com");
        assert!(short["c"]["d"]["e"].as_str().unwrap().ends_with("… (5000 bytes)"), "{short}");
        assert_eq!((&short["c"]["f"], &short["z"]), (&json!(7.5), &value["z"]));
        assert_eq!(short["…"], "1 more");
    }

    /// One element took all the room: whom another role was given to was not shown.
    #[test]
    fn no_element_has_all_the_room() {
        let many: Vec<String> = (0..300).map(|n| format!("user:{n}@example.com")).collect();
        let binding = |role: &str, members: &[String]| json!({"role": role, "members": members});
        let eve = ["user:eve@example.com".to_owned()];
        let bindings = [binding("viewer", &many), binding("owner", &eve), binding("viewer", &many)];
        let shown = short(&json!({ "bindings": bindings }));
        assert_eq!(shown["bindings"][1], binding("owner", &eve), "{shown}");
        let mut bindings = vec![binding("viewer", &many); 50];
        bindings.push(binding("owner", &eve));
        let shown = short(&json!({ "bindings": bindings }));
        assert_eq!(shown["bindings"].as_array().unwrap().last().unwrap(), &binding("owner", &eve), "{shown}");
    }

    #[test]
    fn there_is_always_something_to_show() {
        let deep = (0..45).fold(json!("x".repeat(5000)), |inner, _| json!({"in": [inner]}));
        assert!(short(&deep)["in"][0]["in"].is_array());
        let wide: Value = (0..5000).map(|n| (format!("key-{n:05}"), json!(n))).collect();
        let shown = short(&wide);
        let count = shown.as_object().unwrap().len() - 1;
        assert!(count > 10, "{shown}");
        assert_eq!(shown["…"], format!("{} more", 5000 - count));
        let lists = json!({"a": vec![json!(["x".repeat(300)]); 3000], "b": vec![json!({"k": "v"}); 3000]});
        assert!(short(&lists)["b"][0].is_object());
        assert_eq!(
            short(&json!("\"".repeat(5000))).as_str().unwrap().len(),
            127 + "… (5000 bytes)".len() + 1
        );
        assert_eq!(shortened("{".repeat(5000), ROOM), r#"{"…":"5000 bytes"}"#);
    }
}
