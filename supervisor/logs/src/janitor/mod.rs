//! What is done about rotated files when there is time: deleting what is too much, closing what
//! was deleted, compressing the rest.
//!
//! Promises that the one who asks never waits for the disk, that nothing is held up by a
//! compression, and that a kill at any instant leaves whole files only (see [`Family`]). Works in
//! a thread of low priority that is there only while there is something to do. Whatever cannot be
//! done now is tried again after the next rotation. Leaves to others when to rotate, and the
//! names.
//!
//! Each janitor knows the files of one filesystem, and the limits on all files together are kept
//! there: a disk that hangs holds up no other.

mod compress;
#[cfg(test)]
mod tests;
mod totals;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::{Family, Folder, LogError, Registry, StreamId, Target, Victims};
pub use totals::drop_oldest_archive;
use totals::{Archive, Files, too_many, usual};

/// Enough for the encoder, which keeps its tables elsewhere.
const STACK: usize = 256 << 10;

/// Tidies the rotated files of one filesystem. Dropped, it stops at the next occasion.
#[derive(Debug)]
pub struct Janitor(Arc<Shared>);

type Trouble = dyn Fn(&StreamId, LogError) + Send + Sync;

struct Shared {
    folder: Folder,
    registry: Arc<Registry>,
    trouble: Box<Trouble>,
    wishes: Mutex<Wishes>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// What there is to do: at most one wish of a kind for each family, app or path.
#[derive(Default)]
struct Wishes {
    running: bool,
    over: bool,
    victims: Victims,
    /// Apps whose files may be too many, and how many bytes they may have.
    crowded: BTreeMap<String, u64>,
    /// All apps' files may be too many.
    all_crowded: bool,
    plain: BTreeMap<PathBuf, (StreamId, Arc<Family>)>,
    /// Whether the usual folder is on this filesystem.
    usual: bool,
    /// Families at paths that the user chose.
    chosen: HashMap<PathBuf, (StreamId, Weak<Family>)>,
}

enum Task {
    Close(Victims),
    TidyApp(String, u64),
    TidyAll,
    Compress(StreamId, Arc<Family>),
}

impl Janitor {
    /// A janitor with nothing to do. What cannot be done is told to `trouble`, in any thread.
    #[must_use]
    pub fn new(
        folder: Folder,
        registry: Arc<Registry>,
        trouble: impl Fn(&StreamId, LogError) + Send + Sync + 'static,
    ) -> Janitor {
        Janitor(Arc::new(Shared {
            folder,
            registry,
            trouble: Box::new(trouble),
            wishes: Mutex::default(),
        }))
    }

    /// A family is new here: what an earlier process left to do is done. Looks into its folder.
    pub fn adopted(&self, family: &Arc<Family>, target: &Target) {
        self.wish(|wishes| wishes.know(family, target));
        // What is wrong with the folder is told by whoever writes there.
        let members = family.members().unwrap_or_default();
        if members.iter().any(|member| member.number > 0) {
            self.rotated(family, target, Victims::default());
        }
    }

    /// A family was rotated: see that limits are kept, close the victims, compress.
    pub fn rotated(&self, family: &Arc<Family>, target: &Target, victims: Victims) {
        let total = self.0.registry.total().is_some();
        self.wish(|wishes| {
            wishes.know(family, target);
            wishes.victims.take_over(victims);
            wishes.all_crowded |= total;
            if let Some(most) = target.rules.max_total {
                wishes.crowded.insert(target.id.app.clone(), most);
            }
            if target.rules.compress {
                let wish = (target.id.clone(), Arc::clone(family));
                wishes.plain.insert(family.live().to_owned(), wish);
            }
        });
    }

    /// Closes deleted files.
    pub fn close(&self, victims: Victims) {
        self.wish(|wishes| wishes.victims.take_over(victims));
    }

    /// How many bytes the files of all apps may have together. Told to the registry, too.
    pub fn set_total(&self, total: Option<u64>) {
        self.0.registry.set_total(total);
        self.wish(|wishes| wishes.all_crowded = total.is_some());
    }

    /// Notes what is to be done, and sees that somebody does it.
    fn wish(&self, note: impl FnOnce(&mut Wishes)) {
        let mut wishes = self.0.lock();
        note(&mut wishes);
        if wishes.running || !wishes.any() {
            return;
        }
        let shared = Arc::clone(&self.0);
        // Where there is no thread to be had, the wishes stay for the next time.
        wishes.running = std::thread::Builder::new()
            .name("logs-janitor".to_owned())
            .stack_size(STACK)
            .spawn(move || shared.work())
            .is_ok();
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        // Not waited for: its disk may hang.
        self.0.lock().over = true;
    }
}

impl Wishes {
    fn know(&mut self, family: &Arc<Family>, target: &Target) {
        if target.path.is_none() {
            self.usual = true;
        } else {
            self.chosen
                .retain(|_, (_, family)| family.strong_count() > 0);
            let known = (target.id.clone(), Arc::downgrade(family));
            self.chosen.insert(family.live().to_owned(), known);
        }
    }

    fn any(&self) -> bool {
        !self.victims.is_empty()
            || !self.crowded.is_empty()
            || self.all_crowded
            || !self.plain.is_empty()
    }

    /// What frees room goes first.
    fn next_urgent(&mut self) -> Option<Task> {
        if !self.victims.is_empty() {
            return Some(Task::Close(std::mem::take(&mut self.victims)));
        }
        if let Some((app, most)) = self.crowded.pop_first() {
            return Some(Task::TidyApp(app, most));
        }
        std::mem::take(&mut self.all_crowded).then_some(Task::TidyAll)
    }

    fn next(&mut self) -> Option<Task> {
        self.next_urgent().or_else(|| {
            let (_, (id, family)) = self.plain.pop_first()?;
            Some(Task::Compress(id, family))
        })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        // Where it may not be nicer, it works as it is. The priority at the disk follows from this.
        let _ = rustix::process::setpriority_process(None, 19);
        while let Some(task) = self.take() {
            self.do_it(task);
        }
    }

    /// The next task; `None` ends the thread, and the next wish makes a new one.
    fn take(&self) -> Option<Task> {
        let mut wishes = self.lock();
        let task = if wishes.over { None } else { wishes.next() };
        wishes.running = task.is_some();
        task
    }

    /// Does what cannot wait; whether there is time for the rest.
    fn interlude(&self) -> bool {
        loop {
            let mut wishes = self.lock();
            if wishes.over {
                return false;
            }
            let Some(task) = wishes.next_urgent() else {
                return true;
            };
            drop(wishes);
            self.do_it(task);
        }
    }

    fn do_it(&self, task: Task) {
        match task {
            Task::Close(victims) => drop(victims),
            Task::TidyApp(app, most) => self.tidy(self.files_of(&app), most),
            Task::TidyAll => {
                if let Some(most) = self.registry.total() {
                    self.tidy(self.files_of_all(), most);
                }
            }
            Task::Compress(id, family) => {
                if let Err(error) = self.compress(&family)
                    // The original takes no more room than before.
                    && !error.is_no_room()
                {
                    (self.trouble)(&id, error);
                }
            }
        }
    }

    fn compress(&self, family: &Family) -> Result<(), LogError> {
        // The newest first: they stay for the longest time.
        for member in family.members()? {
            if member.number > 0 && !member.compressed {
                compress::compress(family, &member, &mut || self.interlude())?;
            }
            if !self.interlude() {
                break;
            }
        }
        Ok(())
    }

    fn tidy(&self, files: Vec<Files>, most: u64) {
        for Archive { of, member } in too_many(&files, most) {
            if let Err(error) = of.family.remove(member) {
                (self.trouble)(&of.id, error);
            }
        }
    }

    fn files_of_all(&self) -> Vec<Files> {
        let apps = if self.lock().usual {
            self.folder.apps().unwrap_or_default()
        } else {
            Vec::new()
        };
        let mut files: Vec<Files> = apps.iter().flat_map(|app| self.usual(app)).collect();
        files.extend(self.chosen(|_| true));
        files
    }

    fn files_of(&self, app: &str) -> Vec<Files> {
        let usual = self.lock().usual;
        let mut files = if usual { self.usual(app) } else { Vec::new() };
        files.extend(self.chosen(|id| id.app == app));
        files
    }

    fn usual(&self, app: &str) -> Vec<Files> {
        // A folder that cannot be read, or is no app's, has nothing that could be deleted.
        let mut files = usual(&self.folder, app).unwrap_or_default();
        for files in &mut files {
            files.growth = self.registry.growth(&files.id, false);
        }
        files
    }

    fn chosen(&self, wanted: impl Fn(&StreamId) -> bool) -> Vec<Files> {
        let known: Vec<(StreamId, Arc<Family>)> = self
            .lock()
            .chosen
            .values()
            .filter(|(id, _)| wanted(id))
            .filter_map(|(id, family)| Some((id.clone(), family.upgrade()?)))
            .collect();
        known
            .into_iter()
            .map(|(id, family)| Files {
                members: family.members().unwrap_or_default(),
                growth: self.registry.growth(&id, true),
                id,
                family,
            })
            .collect()
    }
}
