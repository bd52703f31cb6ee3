//! Handing out log files: open descriptors, so that reading them costs the daemon nothing.

use std::os::fd::OwnedFd;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use supervisor_core::ServiceId;
use supervisor_protocol::{FailureKind, LogFile, Logs, Reply, Stream};

use super::Engine;
use super::ending::stream_id;
use super::inbox::Replies;

/// Instances whose log files go into one frame; a message carries at most 253 descriptors.
const LOGS: usize = 100;

impl Engine {
    pub(super) fn answer_logs(&self, targets: &[String], follow: bool, replies: &Replies) {
        let ids = match self.resolve(targets) {
            Ok(ids) => ids,
            Err(failure) => return replies.send(Reply::Error(failure)),
        };
        for part in ids.chunks(LOGS) {
            match self.log_files(part, follow) {
                Ok((logs, fds)) => replies.send_with(Reply::Logs(logs), fds),
                Err(error) => return replies.refuse(FailureKind::Failed, error, None),
            }
        }
        replies.end();
    }

    fn log_files(&self, ids: &[ServiceId], follow: bool) -> Result<(Logs, Vec<OwnedFd>), String> {
        let mut fds = Vec::new();
        let mut files = Vec::new();
        let inotify = if follow {
            let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
            Some(Inotify::init(flags).map_err(|e| format!("cannot follow: {}", e.desc()))?)
        } else {
            None
        };
        for id in ids {
            for stream in [0, 1] {
                let stream_id = stream_id(id, stream);
                // Made where it does not exist yet, so that it can be followed from its first line.
                let open = if follow {
                    self.folder.open_for_append(&stream_id).map(drop)
                } else {
                    Ok(())
                };
                let file = open.and_then(|()| self.folder.open_for_reading(&stream_id));
                let Some(file) = file.map_err(|error| error.to_string())? else {
                    continue;
                };
                let path = self.folder.path(&stream_id);
                let changes = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_DONT_FOLLOW;
                let watch = inotify
                    .as_ref()
                    .and_then(|inotify| inotify.add_watch(&path, changes).ok().map(watch_number));
                let which = if stream == 0 {
                    Stream::Out
                } else {
                    Stream::Err
                };
                let (name, instance) = (id.app.to_string(), id.instance);
                files.push(LogFile {
                    name,
                    instance,
                    stream: which,
                    path,
                    watch,
                });
                fds.push(file.into());
            }
        }
        let logs = Logs {
            inotify: inotify.is_some(),
            files,
        };
        if let Some(inotify) = inotify {
            fds.insert(0, inotify.into());
        }
        Ok((logs, fds))
    }
}

fn watch_number(watch: nix::sys::inotify::WatchDescriptor) -> i32 {
    watch.as_raw()
}
