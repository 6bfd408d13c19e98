//! How an upstream is doing, for `/readyz` and `/metrics`.

use super::breaker::BreakerState;

/// A snapshot of one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// The summary.
    pub status: HealthStatus,
    /// How the breaker stands.
    pub breaker: BreakerState,
    /// Calls that run now.
    pub in_flight: usize,
    /// Calls that may run at once.
    pub in_flight_max: usize,
    /// Endpoints that answered the last call sent to them.
    pub endpoints_up: usize,
    /// Endpoints to which the last try to connect failed.
    pub endpoints_down: usize,
}

/// Whether calls can be expected to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthStatus {
    /// The last call got an answer.
    Ready,
    /// Calls are held back, since the last ones failed.
    BreakerOpen,
    /// The gateway has no token to show.
    NoToken,
    /// No endpoint could be connected to.
    ConnectFailed,
    /// Nothing was tried yet: connections are made on first use.
    Unknown,
}

impl HealthStatus {
    /// Returns the name as printed, e.g. `CONNECT_FAILED`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "READY",
            Self::BreakerOpen => "BREAKER_OPEN",
            Self::NoToken => "NO_TOKEN",
            Self::ConnectFailed => "CONNECT_FAILED",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// Tells whether something is known to be wrong.
    pub fn is_down(self) -> bool {
        matches!(self, Self::BreakerOpen | Self::NoToken | Self::ConnectFailed)
    }
}

impl BreakerState {
    /// Returns the name as printed, e.g. `half_open`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}
