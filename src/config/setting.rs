//! How one value is read from TOML and shown again.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use toml::Value;

use super::secret::{HIDDEN, Secret, SecretUrl};

/// Why a value was refused, when that says more than what was expected.
#[derive(Debug, Default)]
pub(super) struct Why(pub(super) Option<String>);

impl Why {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(Some(text.into()))
    }
}

/// A type that a key can have.
pub(super) trait Setting: Sized {
    /// What a message says is expected, e.g. `a duration such as "30s"`.
    const EXPECTED: &'static str;
    /// Whether an unquoted `12` from the environment or `--set` means the text `12`.
    const TEXT: bool = false;
    /// Whether the value must not be repeated in a message.
    const SECRET: bool = false;

    /// Reads a value.
    fn read(value: &Value) -> Result<Self, Why>;
    /// Shows a value as the file would hold it, secrets hidden.
    fn show(&self) -> Value;
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(value: &Value) -> Result<Self, Why> {
        value.as_bool().ok_or_default()
    }

    fn show(&self) -> Value {
        Value::Boolean(*self)
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "a string that is not empty";
    const TEXT: bool = true;

    fn read(value: &Value) -> Result<Self, Why> {
        value.as_str().filter(|text| !text.is_empty()).map(str::to_owned).ok_or_default()
    }

    fn show(&self) -> Value {
        Value::String(self.clone())
    }
}

impl Setting for PathBuf {
    const EXPECTED: &'static str = "a path";
    const TEXT: bool = true;

    fn read(value: &Value) -> Result<Self, Why> {
        String::read(value).map(Self::from)
    }

    fn show(&self) -> Value {
        Value::String(self.display().to_string())
    }
}

impl Setting for SocketAddr {
    const EXPECTED: &'static str = r#"an address and port such as "127.0.0.1:8080""#;

    fn read(value: &Value) -> Result<Self, Why> {
        value.as_str().and_then(|text| text.parse().ok()).ok_or_default()
    }

    fn show(&self) -> Value {
        Value::String(self.to_string())
    }
}

impl Setting for u32 {
    const EXPECTED: &'static str = "a whole number";

    fn read(value: &Value) -> Result<Self, Why> {
        value.as_integer().and_then(|number| number.try_into().ok()).ok_or_default()
    }

    fn show(&self) -> Value {
        Value::Integer((*self).into())
    }
}

impl Setting for usize {
    const EXPECTED: &'static str = "a whole number";

    fn read(value: &Value) -> Result<Self, Why> {
        value.as_integer().and_then(|number| number.try_into().ok()).ok_or_default()
    }

    fn show(&self) -> Value {
        Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
    }
}

impl Setting for f64 {
    const EXPECTED: &'static str = "a number";

    fn read(value: &Value) -> Result<Self, Why> {
        match value {
            Value::Float(number) if number.is_finite() => Ok(*number),
            Value::Integer(number) => i32::try_from(*number).map(Self::from).map_err(|_| Why::default()),
            _ => Err(Why::default()),
        }
    }

    fn show(&self) -> Value {
        Value::Float(*self)
    }
}

/// Units of a duration, largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Setting for Duration {
    const EXPECTED: &'static str = r#"a duration such as "500ms", "30s", "5m" or "2h""#;

    fn read(value: &Value) -> Result<Self, Why> {
        let text = value.as_str().ok_or_default()?;
        let (number, unit) = split_unit(text).ok_or_default()?;
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_default()?;
        number.checked_mul(*millis).map(Self::from_millis).ok_or_default()
    }

    fn show(&self) -> Value {
        let millis = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        let (unit, length) = UNITS
            .into_iter()
            .find(|(_, length)| millis >= *length && millis % length == 0)
            .unwrap_or(("s", 1_000));
        Value::String(format!("{}{unit}", millis / length))
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size(pub(super) usize);

impl Size {
    pub(super) const fn kib(count: usize) -> Self {
        Self(count << 10)
    }

    pub(super) const fn mib(count: usize) -> Self {
        Self(count << 20)
    }
}

/// Units of a size, largest first, as shifts.
const SIZES: [(&str, u32); 4] = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];

impl Setting for Size {
    const EXPECTED: &'static str = r#"a size such as "4MiB" or "64KiB", or a number of bytes"#;

    fn read(value: &Value) -> Result<Self, Why> {
        if let Some(bytes) = value.as_integer() {
            return usize::try_from(bytes).map(Self).map_err(|_| Why::default());
        }
        let (number, unit) = value.as_str().and_then(split_unit).ok_or_default()?;
        let (_, shift) = SIZES.iter().find(|(name, _)| *name == unit).ok_or_default()?;
        let bytes = number.checked_mul(1 << shift).and_then(|bytes| bytes.try_into().ok()).ok_or_default()?;
        Ok(Self(bytes))
    }

    fn show(&self) -> Value {
        let (unit, shift) = SIZES
            .into_iter()
            .find(|(_, shift)| self.0.trailing_zeros() >= *shift && self.0 > 0)
            .unwrap_or(("B", 0));
        Value::String(format!("{}{unit}", self.0 >> shift))
    }
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..digits].parse().ok()?, text[digits..].trim_start()))
}

impl Setting for Secret {
    const EXPECTED: &'static str = "a string that is not empty";
    const TEXT: bool = true;
    const SECRET: bool = true;

    fn read(value: &Value) -> Result<Self, Why> {
        String::read(value).map(Self::new)
    }

    fn show(&self) -> Value {
        Value::String(HIDDEN.to_owned())
    }
}

impl Setting for SecretUrl {
    const EXPECTED: &'static str = "a URL such as scheme://host or scheme:///path";
    const SECRET: bool = true;

    fn read(value: &Value) -> Result<Self, Why> {
        let text = value.as_str().filter(|text| text.contains("://")).ok_or_default()?;
        Ok(Self::new(text.to_owned()))
    }

    fn show(&self) -> Value {
        Value::String(self.to_string())
    }
}

impl<T: Setting> Setting for Vec<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const TEXT: bool = T::TEXT;
    const SECRET: bool = T::SECRET;

    /// Reads a list; a single value is a list of one.
    fn read(value: &Value) -> Result<Self, Why> {
        match value {
            Value::Array(items) => items.iter().map(T::read).collect(),
            one => T::read(one).map(|one| vec![one]),
        }
    }

    fn show(&self) -> Value {
        Value::Array(self.iter().map(T::show).collect())
    }
}

/// `ok_or` with nothing more to say than what was expected.
trait OrExpected<T> {
    fn ok_or_default(self) -> Result<T, Why>;
}

impl<T> OrExpected<T> for Option<T> {
    fn ok_or_default(self) -> Result<T, Why> {
        self.ok_or_else(Why::default)
    }
}

/// Declares an enum whose values are words in the configuration.
macro_rules! words {
    ($(#[$doc:meta])* $vis:vis enum $name:ident { $($(#[$item:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[$item])* $variant,)* }

        impl $crate::config::setting::Setting for $name {
            const EXPECTED: &'static str = concat!("one of", $(" ", $word),*);

            fn read(value: &toml::Value) -> Result<Self, $crate::config::setting::Why> {
                match value.as_str() {
                    $(Some($word) => Ok(Self::$variant),)*
                    _ => Err($crate::config::setting::Why::default()),
                }
            }

            fn show(&self) -> toml::Value {
                toml::Value::String(match self { $(Self::$variant => $word,)* }.to_owned())
            }
        }
    };
}
pub(super) use words;
