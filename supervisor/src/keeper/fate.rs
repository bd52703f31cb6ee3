//! What a keeper tells each new engine of those before it: in the tag of [`Verb::Given`], so that it
//! needs no message of its own. The numbers are frozen, as everything on the channel is.
//!
//! [`Verb::Given`]: super::link::Verb::Given

use super::link::{Kind, Tag};

/// How it went with a program that was tried, or with an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// There is nothing to tell.
    #[default]
    Nothing,
    /// Engines are started from the new program.
    Trial,
    /// Its engine ended before it was ready.
    EndedEarly,
    /// Its engine was not ready in time.
    NotReady,
    /// Its engines died again and again.
    DiedAgain,
    /// As a keeper it did not get through its rehearsal.
    RehearsalFailed,
    /// Its rehearsal did not come to an end.
    RehearsalHung,
    /// The engine did not answer any more and was killed.
    Hung,
}

impl Fate {
    const ALL: [Fate; 8] = [
        Fate::Nothing,
        Fate::Trial,
        Fate::EndedEarly,
        Fate::NotReady,
        Fate::DiedAgain,
        Fate::RehearsalFailed,
        Fate::RehearsalHung,
        Fate::Hung,
    ];

    /// A number of a later version says nothing here.
    fn from_number(number: u32) -> Fate {
        let known = Fate::ALL.into_iter().find(|fate| *fate as u32 == number);
        known.unwrap_or_default()
    }
}

/// What is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// How it went with the program that was tried last; stays until the next one.
    pub trial: Fate,
    /// The number that the one who asked for that trial gave it.
    pub number: u32,
    /// The wait status that decided it, where one did.
    pub status: i32,
    /// What happened to the engine just before; told until an engine is ready.
    pub before: Fate,
}

impl News {
    /// On its way.
    pub fn tag(&self) -> Tag {
        Tag {
            slot: self.trial as u32,
            kind: Kind(self.before as u32),
            generation: u64::from(self.number) << 32 | u64::from(self.status.cast_unsigned()),
        }
    }

    /// As it arrived.
    pub fn of(tag: Tag) -> News {
        News {
            trial: Fate::from_number(tag.slot),
            number: (tag.generation >> 32) as u32,
            status: (tag.generation as u32).cast_signed(),
            before: Fate::from_number(tag.kind.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_arrives() {
        for trial in Fate::ALL {
            for before in Fate::ALL {
                let news = News {
                    trial,
                    number: u32::MAX - 1,
                    status: -9,
                    before,
                };
                assert_eq!(News::of(news.tag()), news);
            }
        }
    }

    #[test]
    fn the_numbers_are_frozen_and_those_of_another_time_say_nothing() {
        assert_eq!(Fate::ALL.map(|fate| fate as u32), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(Fate::from_number(8), Fate::Nothing);
        assert_eq!(News::default().tag(), Tag::single(Kind(0)));
    }
}
