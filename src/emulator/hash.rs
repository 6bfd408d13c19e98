//! One number for some strings: always the same one, on every machine.

/// FNV-1a over the strings and where each ends. Enough to notice accidents and to derive numbers; not a signature.
pub(super) fn of(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
