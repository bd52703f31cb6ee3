//! Handing out log files: open descriptors, so that reading them costs the daemon nothing.
//!
//! Files are opened by a thread of their own, one stream after the other, and go out in frames of few
//! enough descriptors. A disk that does not answer holds up one such thread and nothing else; a client
//! that does not read is waited for, with one frame in hand.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use supervisor_logs::{Family, Folder, Format, Member, Opened, Stream as LogStream, Target};
use supervisor_protocol::{FailureKind, LogFile, LogFormat, Logs, Reply, Stream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::Engine;
use super::inbox::Replies;

/// So long the pump is given to write down the times it knows; then they are missing.
const NOTED: Duration = Duration::from_millis(100);
/// So long a disk is given to open the files of one frame.
const OPENED: Duration = Duration::from_secs(5);
/// Requests whose files are being opened at the same time: each may be stuck in a disk.
const OPENERS: usize = 8;
/// How often a stream is looked at again that was rotated meanwhile.
const LOOKS: u32 = 5;

const SILENT: &str = "the disk of a log does not answer";

/// Who may open files.
#[derive(Clone, Debug)]
pub struct Openers(Arc<Semaphore>);

impl Default for Openers {
    fn default() -> Openers {
        Openers(Arc::new(Semaphore::new(OPENERS)))
    }
}

/// One frame, or why there are no more.
type Frame = Result<(Logs, Vec<OwnedFd>), String>;

/// What a client wants of each stream.
#[derive(Clone, Copy)]
struct Wish {
    follow: bool,
    archives: u32,
}

impl Engine {
    pub(super) fn answer_logs(
        &self,
        targets: &[String],
        follow: bool,
        archives: u32,
        replies: Replies,
    ) {
        let ids = match self.resolve(targets) {
            Ok(ids) => ids,
            Err(failure) => return replies.send(Reply::Error(failure)),
        };
        let streams = ids.iter().flat_map(|id| self.streams.logs_of(id));
        let streams: Vec<Target> = streams.collect();
        let ids: Vec<_> = streams.iter().map(|target| target.id.clone()).collect();
        let (done, noted) = oneshot::channel();
        self.pump.sync(&ids, move |_| {
            // Nobody waits any more.
            let _ = done.send(());
        });
        let (folder, openers) = (self.folder.clone(), self.openers.clone());
        let wish = Wish { follow, archives };
        tokio::spawn(async move {
            // In time or not, and whether it could be written or not: it is only about times.
            let _ = timeout(NOTED, noted).await;
            match hand_out(folder, openers, streams, wish, &replies).await {
                Ok(()) => replies.end(),
                Err(why) => replies.refuse(FailureKind::Failed, why, None),
            }
        });
    }

    /// Looks every log file up by its name again.
    pub(super) fn reopen_logs(&self, replies: Option<Replies>) {
        tracing::info!("log files are looked up by their names again, as asked");
        let (done, reopened) = oneshot::channel();
        self.pump.reopen(move |result| {
            // Nobody waits any more.
            let _ = done.send(result.map_err(|error| error.to_string()));
        });
        tokio::spawn(async move {
            let result = match timeout(OPENED, reopened).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) | Err(_) => Err(SILENT.to_owned()),
            };
            match (result, replies) {
                (Ok(()), Some(replies)) => replies.end(),
                (Err(why), Some(replies)) => replies.refuse(FailureKind::Failed, why, None),
                (Ok(()), None) => {}
                (Err(why), None) => tracing::error!("not all log files could be reopened: {why}"),
            }
        });
    }
}

async fn hand_out(
    folder: Folder,
    openers: Openers,
    streams: Vec<Target>,
    wish: Wish,
    replies: &Replies,
) -> Result<(), String> {
    let permit = timeout(OPENED, openers.0.acquire_owned()).await;
    let Ok(Ok(permit)) = permit else {
        return Err(SILENT.to_owned());
    };
    let (sender, mut frames) = mpsc::channel::<Frame>(1);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let send = |frame| sender.blocking_send(frame).is_ok();
        if let Err(why) = open_all(&folder, &streams, wish, |frame| send(Ok(frame))) {
            send(Err(why));
        }
    });
    loop {
        match timeout(OPENED, frames.recv()).await {
            Ok(Some(frame)) => {
                let (logs, fds) = frame?;
                replies.send_with(Reply::Logs(logs), fds);
                replies.taken().await;
            }
            Ok(None) => return Ok(()),
            Err(_) => return Err(SILENT.to_owned()),
        }
    }
}

/// Opens the files of all streams and gives them out frame by frame, until nobody wants them.
fn open_all(
    folder: &Folder,
    streams: &[Target],
    wish: Wish,
    mut send: impl FnMut((Logs, Vec<OwnedFd>)) -> bool,
) -> Result<(), String> {
    let mut frame = Packing::default();
    for target in streams {
        let family = Family::new(folder, target);
        for look in 1.. {
            match pack(&mut frame, &family, target, wish, &mut send)? {
                Packed::Gone => return Ok(()),
                Packed::Rotated if look < LOOKS => {}
                Packed::Whole | Packed::Rotated => break,
            }
        }
    }
    if !frame.logs.files.is_empty() {
        send(frame.take());
    }
    Ok(())
}

/// How the packing of one stream went.
enum Packed {
    /// As it should.
    Whole,
    /// The live file is another one already, and nothing was packed.
    Rotated,
    /// Nobody wants the files.
    Gone,
}

fn pack(
    frame: &mut Packing,
    family: &Family,
    target: &Target,
    wish: Wish,
    send: &mut impl FnMut((Logs, Vec<OwnedFd>)) -> bool,
) -> Result<Packed, String> {
    let failed = |error: supervisor_logs::LogError| error.to_string();
    if wish.follow {
        // Made where it does not exist yet, so that it can be followed from its first line.
        drop(family.open_live().map_err(failed)?);
    }
    let files = family.open_members(wish.archives).map_err(failed)?;
    if wish.follow && files.first().is_none_or(|(live, _)| live.number > 0) {
        return Ok(Packed::Rotated);
    }
    let all: usize = files.iter().map(|(_, opened)| descriptors(opened)).sum();
    if !frame.has_room(all) && !send(frame.take()) {
        return Ok(Packed::Gone);
    }
    for (member, opened) in files {
        // More than fit into one frame, all of one stream.
        if !frame.has_room(descriptors(&opened)) && !send(frame.take()) {
            return Ok(Packed::Gone);
        }
        let watch = match member.number {
            0 if wish.follow => Some(frame.watch(&opened)?),
            _ => None,
        };
        // A rotation before there was a watch would never be told.
        if watch.is_some() && !family.is_current(&opened.log) {
            return Ok(Packed::Rotated);
        }
        let file = log_file(target, family.live(), &member, &opened);
        frame.add(LogFile { watch, ..file }, opened);
    }
    Ok(Packed::Whole)
}

fn log_file(target: &Target, live: &Path, member: &Member, opened: &Opened) -> LogFile {
    LogFile {
        name: target.id.app.clone(),
        instance: target.id.instance,
        stream: match target.id.stream {
            LogStream::Out => Stream::Out,
            LogStream::Err => Stream::Err,
        },
        path: match (member.number, member.compressed) {
            (0, _) => live.to_owned(),
            (number, false) => format!("{}.{number}", live.display()).into(),
            (number, true) => format!("{}.{number}.zst", live.display()).into(),
        },
        number: member.number,
        compressed: member.compressed,
        index: opened.index.is_some(),
        watch: None,
        format: match target.rules.format {
            Format::Raw => LogFormat::Raw,
            Format::Timestamp => LogFormat::Timestamp,
        },
    }
}

fn descriptors(opened: &Opened) -> usize {
    1 + usize::from(opened.index.is_some())
}

/// A frame that is being filled.
#[derive(Default)]
struct Packing {
    logs: Logs,
    fds: Vec<OwnedFd>,
    inotify: Option<Inotify>,
}

impl Packing {
    /// One is kept for the inotify descriptor.
    fn has_room(&self, more: usize) -> bool {
        self.fds.is_empty() || self.fds.len() + more < Logs::DESCRIPTORS
    }

    fn add(&mut self, file: LogFile, opened: Opened) {
        self.logs.files.push(file);
        self.fds.push(opened.log.into());
        self.fds.extend(opened.index.map(OwnedFd::from));
    }

    /// Of the open file, whatever its name leads to by now.
    fn watch(&mut self, opened: &Opened) -> Result<i32, String> {
        let failed = |errno: Errno| format!("cannot follow: {}", errno.desc());
        let inotify = match self.inotify.take() {
            Some(inotify) => inotify,
            None => {
                Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).map_err(failed)?
            }
        };
        let changes = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_ATTRIB;
        let path = format!("/proc/self/fd/{}", opened.log.as_raw_fd());
        let watch = inotify.add_watch(&*path, changes);
        self.inotify = Some(inotify);
        watch.map(WatchDescriptor::as_raw).map_err(failed)
    }

    fn take(&mut self) -> (Logs, Vec<OwnedFd>) {
        let Packing {
            mut logs,
            mut fds,
            inotify,
        } = std::mem::take(self);
        logs.inotify = inotify.is_some();
        if let Some(inotify) = inotify {
            fds.insert(0, inotify.into());
        }
        (logs, fds)
    }
}

#[cfg(test)]
mod tests;
