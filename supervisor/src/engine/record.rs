//! What a slot's record says: the core's view of the service, and what a person wants to know of
//! its last exit.

use serde::{Deserialize, Serialize};
use supervisor_core::{Exit, RunId, Service};

use crate::persist::slots;

/// The longest sentence that is kept, in bytes.
const LONGEST_REASON: usize = 400;

/// One slot's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The core's.
    pub service: Service,
    /// How many of the operator's wishes it has heard ([`crate::persist::desired::Wish::asked`]).
    pub asked: u64,
    /// How the last run ended, or why it could not begin.
    pub last_exit: Option<LastExit>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastExit {
    /// Which run.
    pub run: RunId,
    /// `None`: it never ran.
    pub exit: Option<Exit>,
    /// One sentence.
    pub reason: String,
    /// Since the epoch, milliseconds.
    pub at_ms: u64,
}

impl LastExit {
    /// With its reason cut to what a slot holds.
    pub fn new(run: RunId, exit: Option<Exit>, reason: &str, at_ms: u64) -> LastExit {
        let ends = (0..=LONGEST_REASON.min(reason.len())).rev();
        let end = ends
            .into_iter()
            .find(|&at| reason.is_char_boundary(at))
            .unwrap_or(0);
        LastExit {
            run,
            exit,
            reason: reason[..end].to_owned(),
            at_ms,
        }
    }
}

impl Record {
    /// As bytes for a slot: postcard, as the layout version of the file says.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = postcard::to_stdvec(self).unwrap_or_default();
        debug_assert!(!bytes.is_empty() && bytes.len() <= slots::LONGEST);
        bytes
    }

    /// From a slot's bytes; `None`: not a record.
    pub fn decode(bytes: &[u8]) -> Option<Record> {
        postcard::from_bytes(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use supervisor_core::{Time, Want};

    use super::*;

    #[test]
    fn the_longest_record_fits_and_comes_back() {
        let record = Record {
            service: Service::new(Time(u64::MAX), Want::Up, RunId(u64::MAX)),
            asked: u64::MAX,
            last_exit: Some(LastExit::new(
                RunId(u64::MAX),
                Some(Exit::Signal(64)),
                &"ä".repeat(1000),
                u64::MAX,
            )),
        };
        let bytes = record.encode();
        assert!(bytes.len() < slots::LONGEST - 100, "{} bytes", bytes.len());
        assert_eq!(Record::decode(&bytes), Some(record));
    }

    /// What an engine wrote, the next one reads, and that may be another program. If this fails, the
    /// layout of the runtime state has changed: [`slots`] counts them.
    #[test]
    fn the_bytes_of_a_record_are_those_of_this_layout() {
        let record = Record {
            service: Service::new(Time(5), Want::Up, RunId(3)),
            asked: 2,
            last_exit: Some(LastExit::new(RunId(2), Some(Exit::Code(7)), "why", 9)),
        };
        let bytes = record.encode();
        let known = [
            0, 0, 0, 0, 0, 5, 0, 0, 0, 3, 2, 1, 2, 1, 0, 7, 3, 119, 104, 121, 9,
        ];
        assert_eq!((slots::LAYOUT, bytes.as_slice()), (2, &known[..]));
    }

    #[test]
    fn damaged_bytes_are_no_record_and_no_panic() {
        let record = Record {
            service: Service::new(Time(5), Want::Down, RunId(3)),
            asked: 0,
            last_exit: Some(LastExit::new(RunId(2), None, "why", 9)),
        };
        let bytes = record.encode();
        for cut in 0..bytes.len() {
            // Whatever it makes of it, it does so in peace.
            let _ = Record::decode(&bytes[..cut]);
        }
        assert_eq!(Record::decode(&[]), None);
    }
}
