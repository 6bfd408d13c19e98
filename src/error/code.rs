//! The canonical codes.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// The canonical codes of `google.rpc.Code`, without `OK`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name = $number,)* }

        impl Code {
            /// All of them, by number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Finds a code by its number; `0` and numbers outside the enum are `None`.
            pub fn from_number(number: i32) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// Returns the name in `google.rpc.Code`, e.g. `INVALID_ARGUMENT`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Returns the number in `google.rpc.Code`.
            pub fn number(self) -> i32 {
                self as i32
            }
        }
    };
}

codes! {
    /// The caller gave up.
    Cancelled = 1, "CANCELLED";
    /// Nobody knows.
    Unknown = 2, "UNKNOWN";
    /// The request is wrong whatever the state of the system.
    InvalidArgument = 3, "INVALID_ARGUMENT";
    /// The time allowed has run out.
    DeadlineExceeded = 4, "DEADLINE_EXCEEDED";
    /// No such thing.
    NotFound = 5, "NOT_FOUND";
    /// The thing to create is there.
    AlreadyExists = 6, "ALREADY_EXISTS";
    /// The caller is known and may not.
    PermissionDenied = 7, "PERMISSION_DENIED";
    /// A quota or limit is used up.
    ResourceExhausted = 8, "RESOURCE_EXHAUSTED";
    /// The system is not in the state that the request needs.
    FailedPrecondition = 9, "FAILED_PRECONDITION";
    /// A conflict with another request.
    Aborted = 10, "ABORTED";
    /// Past the valid range.
    OutOfRange = 11, "OUT_OF_RANGE";
    /// Not offered here.
    Unimplemented = 12, "UNIMPLEMENTED";
    /// A fault of ours or of the upstream.
    Internal = 13, "INTERNAL";
    /// Not now; may work later.
    Unavailable = 14, "UNAVAILABLE";
    /// Data is lost or damaged.
    DataLoss = 15, "DATA_LOSS";
    /// The caller is not known.
    Unauthenticated = 16, "UNAUTHENTICATED";
}
