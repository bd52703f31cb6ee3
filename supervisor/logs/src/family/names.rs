//! The names of a family's files. Pure: what a name means, and how it is written.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// One file of a family. Number 0 is the live file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// `BASE` or `BASE.k`.
    Log(u32),
    /// `BASE.k.zst`: takes the place of `BASE.k`.
    Compressed(u32),
    /// `BASE.idx` or `BASE.k.idx`.
    Index(u32),
    /// `BASE.zst.part`: a compressed file in the making.
    Unfinished,
}

impl Name {
    /// What `file` is in the family of `base`, if anything.
    pub(super) fn parse(base: &OsStr, file: &OsStr) -> Option<Name> {
        let rest = file.as_bytes().strip_prefix(base.as_bytes())?;
        match rest {
            b"" => return Some(Name::Log(0)),
            b".idx" => return Some(Name::Index(0)),
            b".zst.part" => return Some(Name::Unfinished),
            _ => {}
        }
        let rest = rest.strip_prefix(b".")?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, suffix) = rest.split_at(digits);
        // "BASE.07" and "BASE.0" are somebody else's.
        if number.first().is_none_or(|first| *first == b'0') {
            return None;
        }
        let number = str::from_utf8(number).ok()?.parse().ok()?;
        match suffix {
            b"" => Some(Name::Log(number)),
            b".zst" => Some(Name::Compressed(number)),
            b".idx" => Some(Name::Index(number)),
            _ => None,
        }
    }

    /// The file's name.
    pub(super) fn of(self, base: &OsStr) -> OsString {
        let mut name = base.to_owned();
        match self {
            Name::Log(0) => {}
            Name::Index(0) => name.push(".idx"),
            Name::Log(number) => name.push(format!(".{number}")),
            Name::Compressed(number) => name.push(format!(".{number}.zst")),
            Name::Index(number) => name.push(format!(".{number}.idx")),
            Name::Unfinished => name.push(".zst.part"),
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let base = OsStr::new("0.out.log");
        for name in [
            Name::Log(0),
            Name::Index(0),
            Name::Unfinished,
            Name::Log(1),
            Name::Compressed(10),
            Name::Index(u32::MAX),
        ] {
            assert_eq!(Name::parse(base, &name.of(base)), Some(name));
        }
        assert_eq!(Name::Compressed(7).of(base), "0.out.log.7.zst");
    }

    #[test]
    fn names_of_others_are_nobody_s() {
        for name in [
            "10.out.log",
            "0.out.log.",
            "0.out.log.0",
            "0.out.log.01",
            "0.out.log.1.gz",
            "0.out.log.1.zst.idx",
            "0.out.log.zst",
            "0.out.log.4294967296",
            "0.out.log.-1",
            "0.out.log.1.part",
            "0.out.logs",
        ] {
            assert_eq!(
                Name::parse(OsStr::new("0.out.log"), OsStr::new(name)),
                None,
                "{name}"
            );
        }
    }
}
