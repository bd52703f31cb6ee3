//! All families in an app's folder at a glance, those of instances that are gone included.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsString};

use super::Family;
use super::listing::{Listing, Member, list, members};
use crate::folder::{Folder, LogError};
use crate::{Stream, StreamId};

impl Family {
    /// The families in the app's usual folder, with their members. Names may change while this
    /// looks: a member can be missing, or have another number by now.
    pub(crate) fn of_app(
        folder: &Folder,
        app: &str,
    ) -> Result<Vec<(StreamId, Family, Vec<Member>)>, LogError> {
        let place = folder.place(app);
        let Some(open) = place.open()? else {
            return Ok(Vec::new());
        };
        let mut listings: BTreeMap<StreamId, Listing> = BTreeMap::new();
        let stream = |file: &CStr| stream_of(app, file.to_str().ok()?);
        let base = |file: &CStr| stream(file).map(|id| OsString::from(id.file_name()));
        list(&open, &place.path(), base, |file, name, stat| {
            if let Some(id) = stream(file) {
                listings.entry(id).or_default().insert(name, stat);
            }
        })?;
        let families = listings.into_iter().map(|(id, listing)| {
            let family = Family::usual(folder, &id);
            let mut members = members(&listing);
            // Seen twice: renamed meanwhile.
            members.dedup_by_key(|member| member.inode);
            (id, family, members)
        });
        Ok(families.collect())
    }
}

/// Whose file has a name that begins like this.
fn stream_of(app: &str, file: &str) -> Option<StreamId> {
    let (instance, rest) = file.split_once('.')?;
    let streams = [Stream::Out, Stream::Err];
    let id = streams.into_iter().find_map(|stream| {
        let rest = rest.strip_prefix(stream.name())?.strip_prefix(".log")?;
        let whole = rest.is_empty() || rest.starts_with('.');
        whole.then_some(())?;
        Some(StreamId {
            app: app.to_owned(),
            instance: instance.parse().ok()?,
            stream,
        })
    })?;
    // "007.out.log" and "+7.out.log" are somebody else's.
    file.starts_with(&id.file_name()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_how_they_begin() {
        for (file, known) in [
            ("0.out.log", true),
            ("12.err.log.3.zst", true),
            ("0.out.log.idx", true),
            ("007.out.log", false),
            ("+7.out.log", false),
            ("0.out.logs", false),
            ("0.log", false),
            ("x.out.log", false),
        ] {
            assert_eq!(stream_of("shop", file).is_some(), known, "{file}");
        }
    }
}
