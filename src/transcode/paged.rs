//! Pages of lists: taking them apart, and putting items of several together, without reading the items.

use super::{
    Plan,
    tables::{Card, FieldTable, Op},
    wire::{Cursor, LEN, put_bytes, put_tag},
};
use crate::error::{Error, Result};

/// Where the parts of a page are in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paged {
    items: u32,
    next: Option<u32>,
    unreachable: Option<u32>,
}

/// A page, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageParts<'w> {
    /// The items in wire format: messages, or text.
    pub items: Vec<&'w [u8]>,
    /// The token of the next page; empty on the last one.
    pub next_page_token: &'w str,
    /// What did not answer.
    pub unreachable: Vec<&'w str>,
}

impl Plan {
    /// Finds the parts of pages of this type, whose items are in a field of this name.
    ///
    /// # Errors
    /// There is no such field, or its items are neither messages nor text.
    pub fn paged(&self, items: &str) -> Result<Paged> {
        let table = self.tables.message(self.index);
        let find = |name: &str| table.fields.iter().find(|field| &*field.name == name);
        let text = |card: Card| move |field: &&FieldTable| field.op == Op::String && field.card == card;
        let number = |field: &FieldTable| field.number;
        let items = find(items)
            .filter(|field| field.card == Card::Repeated && matches!(field.op, Op::String | Op::Message))
            .ok_or_else(|| Error::internal(format!("{} has no list {items} of messages", table.name)))?;
        Ok(Paged {
            items: items.number,
            next: find("next_page_token").filter(text(Card::Singular)).map(number),
            unreachable: find("unreachable").filter(text(Card::Repeated)).map(number),
        })
    }

    /// Returns the plan of a message field, or of the messages in a list.
    ///
    /// # Errors
    /// There is no such field, or it holds no messages.
    pub fn inside(&self, field: &str) -> Result<Plan> {
        let table = self.tables.message(self.index);
        let found = table.fields.iter().find(|known| &*known.name == field && known.op == Op::Message);
        let found = found.ok_or_else(|| Error::internal(format!("{} has no message {field}", table.name)))?;
        Ok(Plan::of(&self.tables, found.child))
    }

    /// Whether the message has a field of this name, in either spelling.
    pub fn has(&self, field: &str) -> bool {
        self.tables.message(self.index).by_name(field, usize::MAX).is_some()
    }
}

impl Paged {
    /// Whether a page can say what did not answer.
    pub fn tells_unreachable(&self) -> bool {
        self.unreachable.is_some()
    }

    /// Takes a page apart.
    ///
    /// # Errors
    /// The bytes are no message of the type.
    pub fn read<'w>(&self, wire: &'w [u8]) -> Result<PageParts<'w>> {
        let mut parts = PageParts::default();
        let mut cursor = Cursor::new(wire);
        while !cursor.is_empty() {
            let (number, kind) = cursor.tag()?;
            if kind != LEN {
                cursor.skip(number, kind)?;
                continue;
            }
            let content = cursor.bytes()?;
            if number == self.items {
                parts.items.push(content);
            } else if Some(number) == self.next {
                parts.next_page_token = text(content)?;
            } else if Some(number) == self.unreachable {
                parts.unreachable.push(text(content)?);
            }
        }
        Ok(parts)
    }

    /// Puts a page together. What a message of its type has no field for is left out.
    pub fn write(&self, page: &PageParts<'_>) -> Vec<u8> {
        let bytes: usize = page.items.iter().map(|item| item.len() + 8).sum();
        let mut wire = Vec::with_capacity(bytes + page.next_page_token.len() + 64);
        for item in &page.items {
            put_tag(&mut wire, self.items, LEN);
            put_bytes(&mut wire, item);
        }
        if let Some(next) = self.next.filter(|_| !page.next_page_token.is_empty()) {
            put_tag(&mut wire, next, LEN);
            put_bytes(&mut wire, page.next_page_token.as_bytes());
        }
        if let Some(unreachable) = self.unreachable {
            for name in &page.unreachable {
                put_tag(&mut wire, unreachable, LEN);
                put_bytes(&mut wire, name.as_bytes());
            }
        }
        wire
    }
}

fn text(content: &[u8]) -> Result<&str> {
    std::str::from_utf8(content).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_put_together_as_it_was_taken_apart() {
        let paged = Paged { items: 1, next: Some(2), unreachable: Some(4) };
        let page = PageParts {
            items: vec![b"\x08\x01", b"", b"\x08\x02"],
            next_page_token: "more",
            unreachable: vec!["a", "b"],
        };
        let mut wire = paged.write(&page);
        assert_eq!(paged.read(&wire).unwrap(), page);
        // A field that nobody asked for, of every kind.
        wire.extend_from_slice(&[0x18, 5, 0x2a, 1, 9]);
        assert_eq!(paged.read(&wire).unwrap(), page);
        assert!(paged.read(&wire[..wire.len() - 1]).is_err());
        let narrow = Paged { items: 1, next: None, unreachable: None };
        assert_eq!(narrow.read(&narrow.write(&page)).unwrap().items, page.items);
    }
}
