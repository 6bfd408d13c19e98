//! The protobuf wire format: varints, tags, lengths, groups. Reads from a slice, appends to a buffer.

/// Wire type of varints.
pub(super) const VARINT: u8 = 0;
/// Wire type of eight fixed bytes.
pub(super) const FIXED64: u8 = 1;
/// Wire type of length-delimited values.
pub(super) const LEN: u8 = 2;
/// Wire type that opens a group.
pub(super) const GROUP: u8 = 3;
/// Wire type that closes a group.
pub(super) const END: u8 = 4;
/// Wire type of four fixed bytes.
pub(super) const FIXED32: u8 = 5;

/// Groups inside unknown groups that are skipped before the bytes are refused.
const SKIP_DEPTH_MAX: usize = 100;

/// Bytes that are no message. Says what, never where: positions in binary help nobody.
///
/// A pointer to the text, which is one word where the text itself is two: with it a result of bytes still comes back in
/// two registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static &'static str);

/// Reads wire format front to back.
#[derive(Clone)]
pub(super) struct Cursor<'w> {
    rest: &'w [u8],
}

impl<'w> Cursor<'w> {
    pub(super) fn new(wire: &'w [u8]) -> Self {
        Self { rest: wire }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns what has not been read.
    pub(super) fn rest(&self) -> &'w [u8] {
        self.rest
    }

    #[inline(always)]
    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.varint_long(),
        }
    }

    fn varint_long(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for (i, byte) in self.rest.iter().take(10).enumerate() {
            if i == 9 && *byte > 1 {
                return Err(Malformed(&"a varint has more than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if *byte < 0x80 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        Err(Malformed(&"a varint does not end"))
    }

    /// Reads a tag: field number and wire type.
    #[inline(always)]
    pub(super) fn tag(&mut self) -> Result<(u32, u8), Malformed> {
        let raw = self.varint()?;
        let tag = u32::try_from(raw).map_err(|_| Malformed(&"a tag is out of range"))?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Malformed(&"field number 0"));
        }
        Ok((number, (tag & 7) as u8))
    }

    #[inline(always)]
    pub(super) fn bytes(&mut self) -> Result<&'w [u8], Malformed> {
        let length = self.varint()?;
        let length = usize::try_from(length).map_err(|_| TRUNCATED)?;
        let (head, rest) = self.rest.split_at_checked(length).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    pub(super) fn fixed32(&mut self) -> Result<[u8; 4], Malformed> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    pub(super) fn fixed64(&mut self) -> Result<[u8; 8], Malformed> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(*head)
    }

    /// Reads a group's content, whose opening tag was just read, and its closing tag.
    pub(super) fn group(&mut self, number: u32) -> Result<&'w [u8], Malformed> {
        let start = self.rest;
        let closing = self.skip_group(number)?;
        let read = start.len() - self.rest.len();
        Ok(&start[..read - closing])
    }

    /// Returns the size of the closing tag, in bytes: it may be longer than it has to be.
    fn skip_group(&mut self, number: u32) -> Result<usize, Malformed> {
        let mut open = Vec::with_capacity(4);
        open.push(number);
        let mut closing = 0;
        while let Some(&innermost) = open.last() {
            let before = self.rest.len();
            let (number, kind) = self.tag()?;
            match kind {
                GROUP if open.len() >= SKIP_DEPTH_MAX => return Err(Malformed(&"groups nested too deep")),
                GROUP => open.push(number),
                END if number != innermost => return Err(Malformed(&"a group ends with another's tag")),
                END => {
                    open.pop();
                    closing = before - self.rest.len();
                }
                _ => self.skip(number, kind)?,
            }
        }
        Ok(closing)
    }

    /// Skips the value of a field whose tag was just read.
    pub(super) fn skip(&mut self, number: u32, kind: u8) -> Result<(), Malformed> {
        match kind {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            LEN => self.bytes().map(drop),
            GROUP => self.skip_group(number).map(drop),
            FIXED32 => self.fixed32().map(drop),
            END => Err(Malformed(&"a group ends that was not open")),
            _ => Err(Malformed(&"an unknown wire type")),
        }
    }
}

const TRUNCATED: Malformed = Malformed(&"the message is cut short");

/// Bytes that a varint takes.
pub(super) fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Appends a varint.
#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a tag.
#[inline]
pub(super) fn put_tag(out: &mut Vec<u8>, number: u32, kind: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(kind));
}

/// Appends a length and bytes.
#[inline]
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Opens a length-delimited value whose length is not known yet. One byte is reserved; [`close`] makes room for more.
#[inline]
pub(super) fn open(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len()
}

/// Writes the length of the value opened at `start`. Values of 128 bytes and more are moved by the bytes that their
/// length needs beyond one: a copy of memory just written, cheaper than measuring everything first.
#[inline]
pub(super) fn close(out: &mut Vec<u8>, start: usize) {
    let length = out.len() - start;
    if length < 0x80 {
        out[start - 1] = length as u8;
        return;
    }
    let extra = varint_len(length as u64) - 1;
    out.resize(out.len() + extra, 0);
    out.copy_within(start..start + length, start + extra);
    let mut value = length;
    for byte in &mut out[start - 1..start + extra] {
        *byte = (value & 0x7f) as u8 | 0x80;
        value >>= 7;
    }
    out[start + extra - 1] &= 0x7f;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_every_size_close_to_what_prost_reads() {
        for length in [0, 1, 127, 128, 300, 16_383, 16_384, 2_097_152] {
            let mut out = vec![9];
            let start = open(&mut out);
            out.resize(start + length, 7);
            close(&mut out, start);
            let mut cursor = Cursor::new(&out[1..]);
            assert_eq!(cursor.bytes().unwrap().len(), length);
            assert!(cursor.is_empty());
        }
    }

    #[test]
    fn a_group_is_returned_without_its_closing_tag() {
        // field 1 varint 5, then a nested group 2, then the end of group 3.
        let wire = [0x08, 5, 0x13, 0x08, 1, 0x14, 0x1c, 0xff];
        let mut cursor = Cursor::new(&wire);
        assert_eq!(cursor.group(3).unwrap(), &wire[..6]);
        assert_eq!(cursor.rest(), &[0xff]);
        assert!(Cursor::new(&wire[..5]).group(3).is_err());
        assert_eq!(Cursor::new(&[0x24]).group(3), Err(Malformed(&"a group ends with another's tag")));
    }

    #[test]
    fn a_closing_tag_that_is_longer_than_needed_closes_its_group() {
        // field 1 varint 5, then the end of group 3 in two bytes.
        let wire = [0x08, 5, 0x9c, 0x00, 0xff];
        let mut cursor = Cursor::new(&wire);
        assert_eq!(cursor.group(3).unwrap(), &wire[..2]);
        assert_eq!(cursor.rest(), &[0xff]);
    }

    #[test]
    fn endless_varints_and_deep_groups_are_refused() {
        assert!(Cursor::new(&[0xff; 20]).varint().is_err());
        assert!(Cursor::new(&[0x0b; 4096]).skip(1, GROUP).is_err());
    }
}
