//! Time as a value: the core never asks what time it is.

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds on a clock that only goes forward and that outlives the daemon
/// (the engine uses `CLOCK_MONOTONIC`, which counts from boot). Wall-clock jumps do not exist here.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Time(pub u64);

/// A length of time, in milliseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Span(pub u64);

impl Time {
    /// The moment `span` after this one; saturates instead of wrapping.
    #[must_use]
    pub fn after(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }

    /// How long after `earlier` this moment is; zero if it is before.
    #[must_use]
    pub fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// A span of whole seconds.
    #[must_use]
    pub const fn secs(seconds: u64) -> Span {
        Span(seconds * 1000)
    }
}
