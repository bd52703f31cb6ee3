//! Which archives go, so that all files together stay within a limit.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::{Family, Folder, LogError, Member, StreamId, Target};

/// A family with what it has, as seen a moment ago.
pub(super) struct Files {
    pub(super) id: StreamId,
    pub(super) family: Arc<Family>,
    pub(super) members: Vec<Member>,
    /// How large its live file may grow; `None` if nobody writes it, or there is no limit.
    pub(super) growth: Option<u64>,
}

/// A rotated file and whose it is.
pub(super) struct Archive<'a> {
    pub(super) of: &'a Files,
    pub(super) member: &'a Member,
}

/// Deletes the oldest rotated file of the app, of any stream and instance, those that are gone
/// included; the bytes that gives, `None` if there is none. They are free when this returns, even
/// if somebody has the file open.
///
/// At a path that the user chose only the stream's own files are looked at: the others can be on
/// another disk, where they are in nobody's way.
///
/// # Errors
/// When the system refuses.
pub fn drop_oldest_archive(folder: &Folder, target: &Target) -> Result<Option<u64>, LogError> {
    let files = if target.path.is_some() {
        let family = Family::new(folder, target);
        let members = family.members()?;
        vec![Files {
            id: target.id.clone(),
            family: Arc::new(family),
            members,
            growth: None,
        }]
    } else {
        usual(folder, &target.id.app)?
    };
    for Archive { of, member } in oldest_first(&files) {
        if let Some(victims) = of.family.remove(member)? {
            victims.free();
            return Ok(Some(member.size));
        }
    }
    Ok(None)
}

/// The families in an app's usual folder.
pub(super) fn usual(folder: &Folder, app: &str) -> Result<Vec<Files>, LogError> {
    let files = |(id, family, members)| Files {
        id,
        family: Arc::new(family),
        members,
        growth: None,
    };
    Ok(Family::of_app(folder, app)?
        .into_iter()
        .map(files)
        .collect())
}

/// The archives that must go for all files to fit, the live ones at their largest.
pub(super) fn too_many(files: &[Files], most: u64) -> Vec<Archive<'_>> {
    let archives = oldest_first(files);
    let reserved: u64 = files.iter().map(reserved).sum();
    let archived: u64 = archives.iter().map(|archive| size(archive.member)).sum();
    let mut used = reserved.saturating_add(archived);
    archives
        .into_iter()
        .take_while(|archive| {
            let over = used > most;
            used = used.saturating_sub(size(archive.member));
            over
        })
        .collect()
}

fn oldest_first(files: &[Files]) -> Vec<Archive<'_>> {
    let mut archives: Vec<Archive<'_>> = files
        .iter()
        .flat_map(|of| of.members.iter().map(move |member| Archive { of, member }))
        .filter(|archive| archive.member.number > 0)
        .collect();
    archives.sort_by_key(|archive| (archive.member.modified, Reverse(archive.member.number)));
    archives
}

/// What a family's live file has to be given.
fn reserved(files: &Files) -> u64 {
    let live = files.members.iter().find(|member| member.number == 0);
    let index = live.map_or(0, |live| live.index_size);
    let log = live.map_or(0, |live| live.size);
    index + log.max(files.growth.unwrap_or(0))
}

fn size(member: &Member) -> u64 {
    member.size + member.index_size
}
