//! The desired state: every app with its definition, and whether it is wanted. On disk before a
//! command is acknowledged, so that neither a power cut nor a full disk makes the daemon lie.
//!
//! One JSON document and a checksum line, written beside and renamed over; the one before is kept
//! as `.1` and takes over where the newest cannot be read.

mod asked;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use supervisor_config::{App, DaemonSettings};
use supervisor_core::{Boot, Name, ServiceId, Want};

pub use asked::{Asked, What};

/// The version of the document that this program writes, and the only one it reads. It goes up when an
/// older program could not read what this one writes; then this one reads the one before as well.
const VERSION: u32 = 1;

/// Everything that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// Of the document.
    pub version: u32,
    /// The number that the next new instance is shown under.
    #[serde(default)]
    pub next_id: u64,
    /// What its own file asks of the daemon.
    #[serde(default)]
    pub daemon: DaemonSettings,
    /// The apps.
    #[serde(default)]
    pub apps: BTreeMap<Name, Entry>,
}

/// One app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its definition.
    pub app: App,
    /// The file it came from; `None`: the command line.
    #[serde(default)]
    pub origin: Option<PathBuf>,
    /// Its instances by number, also those that are on their way out.
    #[serde(default)]
    pub instances: BTreeMap<u32, Wish>,
}

/// One instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The number it is shown under.
    pub id: u64,
    /// Whether it is to run.
    pub want: Want,
    /// Counts how often an operator has changed that: what an instance has not heard yet, an engine
    /// that was killed has left undone.
    #[serde(default)]
    pub asked: u64,
    /// It has ended and its policy does not start it again: whether as it should. It is not started at boot.
    #[serde(default)]
    pub done: Option<bool>,
    /// It is to stop and then to be forgotten.
    #[serde(default)]
    pub remove: bool,
    /// What an operator last asked of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Asked>,
}

impl Default for Desired {
    fn default() -> Desired {
        Desired {
            version: VERSION,
            next_id: 0,
            daemon: DaemonSettings::default(),
            apps: BTreeMap::new(),
        }
    }
}

impl Desired {
    /// What is wanted of one instance.
    pub fn wish(&self, id: &ServiceId) -> Option<&Wish> {
        self.apps.get(&id.app)?.instances.get(&id.instance)
    }

    /// The same, to change it.
    pub fn wish_mut(&mut self, id: &ServiceId) -> Option<&mut Wish> {
        self.apps.get_mut(&id.app)?.instances.get_mut(&id.instance)
    }

    /// An operator wants this of an instance. True: that is something else than before.
    pub fn ask(&mut self, id: &ServiceId, want: Want, asked: &Asked) -> bool {
        let Some(wish) = self.wish_mut(id) else {
            return false;
        };
        let changes = wish.want != want;
        if changes {
            wish.want = want;
            wish.asked += 1;
        }
        // To start what is to run anyway is not what made it run.
        if changes || asked.what == What::Restarted {
            wish.last = Some(asked.clone());
        }
        changes
    }

    /// Every instance.
    pub fn instances(&self) -> impl Iterator<Item = (ServiceId, &Entry, &Wish)> {
        self.apps.iter().flat_map(|(name, entry)| {
            entry.instances.iter().map(move |(&instance, wish)| {
                (
                    ServiceId {
                        app: name.clone(),
                        instance,
                    },
                    entry,
                    wish,
                )
            })
        })
    }

    /// Puts an app in or replaces its definition, with as many instances as it asks for: those
    /// that stay keep number and wish, new ones are wanted, the rest is to be removed.
    pub fn put(&mut self, app: App, origin: Option<PathBuf>, asked: &Asked) {
        let wanted = app.instances;
        let entry = self.apps.entry(app.name.clone()).or_insert_with(|| Entry {
            app: app.clone(),
            origin: None,
            instances: BTreeMap::new(),
        });
        let only_scaled = {
            let instances = wanted;
            let old = App {
                instances,
                ..entry.app.clone()
            };
            old == app
        };
        entry.app = app;
        entry.origin = origin;
        // More of what the operator has stopped is stopped, too.
        let mut stay = entry.instances.values().filter(|wish| !wish.remove);
        let stopped = stay.next().is_some_and(|wish| wish.want == Want::Down)
            && stay.all(|wish| wish.want == Want::Down);
        let want = if stopped { Want::Down } else { Want::Up };
        for (&number, wish) in &mut entry.instances {
            if !only_scaled || wish.remove {
                wish.last = Some(asked.clone());
            }
            if number >= wanted {
                wish.remove = true;
            } else if wish.remove {
                wish.want = want;
                wish.remove = false;
            }
        }
        for number in 0..wanted {
            entry.instances.entry(number).or_insert_with(|| {
                let id = self.next_id;
                self.next_id += 1;
                Wish {
                    id,
                    want,
                    asked: 0,
                    done: None,
                    remove: false,
                    last: Some(asked.clone()),
                }
            });
        }
    }

    /// Marks all of an app for removal.
    pub fn remove(&mut self, name: &Name) {
        for wish in self
            .apps
            .get_mut(name)
            .into_iter()
            .flat_map(|e| e.instances.values_mut())
        {
            wish.remove = true;
        }
    }

    /// The machine or the daemon starts anew: what is wanted now, by the boot policies. True: that
    /// is something else than before.
    pub fn boot(&mut self) -> bool {
        let mut changed = false;
        for entry in self.apps.values_mut() {
            let want = match entry.app.policy.boot {
                Boot::Always => Want::Up,
                Boot::Never => Want::Down,
                Boot::Last => continue,
            };
            for wish in entry.instances.values_mut() {
                changed |= wish.want != want || wish.done.is_some();
                wish.want = want;
                wish.done = None;
            }
        }
        changed
    }

    /// Forgets an instance that is gone, and its app with the last one. Numbers begin anew when
    /// nothing is left.
    pub fn forget(&mut self, id: &ServiceId) {
        if let Some(entry) = self.apps.get_mut(&id.app) {
            entry.instances.remove(&id.instance);
            if entry.instances.is_empty() {
                self.apps.remove(&id.app);
            }
        }
        if self.apps.is_empty() {
            self.next_id = 0;
        }
    }

    fn encode(&self) -> io::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self)?;
        let sum = crc32fast::hash(&bytes);
        writeln!(bytes, "\ncrc32 {sum:08x}")?;
        Ok(bytes)
    }

    fn decode(bytes: &[u8]) -> Result<Desired, Unusable> {
        let text = std::str::from_utf8(bytes).map_err(|_| Unusable::Damaged("it is not UTF-8"))?;
        let (document, sum) = text
            .trim_end()
            .rsplit_once('\n')
            .ok_or(Unusable::Damaged("its checksum line is missing"))?;
        let expected = format!("crc32 {:08x}", crc32fast::hash(document.as_bytes()));
        if sum != expected {
            return Err(Unusable::Damaged("its checksum is wrong"));
        }
        #[derive(Deserialize)]
        struct OnlyVersion {
            version: u32,
        }
        // The version first: what else another one has, may mean anything.
        let foreign = |error: serde_json::Error| Unusable::Foreign(error.to_string());
        let OnlyVersion { version } = serde_json::from_str(document).map_err(foreign)?;
        if version != VERSION {
            return Err(Unusable::Foreign(format!(
                "it has version {version}, and this program knows {VERSION}"
            )));
        }
        serde_json::from_str(document).map_err(foreign)
    }
}

/// Why a file cannot be used.
#[derive(Debug, PartialEq, Eq)]
enum Unusable {
    /// It is not what was written: the one before is the best there is.
    Damaged(&'static str),
    /// It is whole, and this program does not understand it. The one before would be a lie.
    Foreign(String),
}

/// The two files.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// What was read, and what a person should know about it.
#[derive(Debug)]
pub struct Loaded {
    /// The state.
    pub desired: Desired,
    /// Why it is not the newest.
    pub warning: Option<String>,
}

impl Store {
    /// Below the state folder.
    pub fn new(folder: &Path) -> Store {
        Store {
            folder: folder.to_owned(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("desired.json")
    }

    fn previous(&self) -> PathBuf {
        self.folder.join("desired.json.1")
    }

    /// Reads the newest state that is whole. No file at all is an empty state.
    ///
    /// # Errors
    /// There are files and none can be used, or another version of this program wrote them: nothing is
    /// started and nothing overwritten until a person has looked.
    pub fn load(&self) -> Result<Loaded, String> {
        let mut troubles = Vec::new();
        for path in [self.path(), self.previous()] {
            let why = match fs::read(&path) {
                Ok(bytes) => match Desired::decode(&bytes) {
                    Ok(desired) => {
                        let warning = (!troubles.is_empty()).then(|| troubles.join("; "));
                        if warning.is_some() {
                            self.set_aside();
                        }
                        return Ok(Loaded { desired, warning });
                    }
                    Err(Unusable::Damaged(why)) => why.to_owned(),
                    Err(Unusable::Foreign(why)) => {
                        return Err(format!(
                            "{} was written by another version of this program ({why}); run that one",
                            path.display()
                        ));
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => error.to_string(),
            };
            troubles.push(format!("{} cannot be used: {why}", path.display()));
        }
        if troubles.is_empty() {
            return Ok(Loaded {
                desired: Desired::default(),
                warning: None,
            });
        }
        Err(format!("{}; mend it or move it away", troubles.join("; ")))
    }

    /// Puts the newest away for a person to look at: the next save would put it in the place of the one
    /// before, which is the only one that is whole.
    fn set_aside(&self) {
        // Where it cannot be moved, nothing can be saved either.
        let _ = fs::rename(self.path(), self.folder.join("desired.json.damaged"));
    }

    /// Writes the state; when this returns, a power cut does not undo it.
    ///
    /// # Errors
    /// Disk full and the like; the file on disk is then the one before.
    pub fn save(&self, desired: &Desired) -> io::Result<()> {
        let temporary = self.folder.join("desired.json.new");
        let written = self.write(&temporary, &desired.encode()?);
        if written.is_err() {
            // It may be half-written; nobody reads it, and the next save replaces it.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn write(&self, temporary: &Path, bytes: &[u8]) -> io::Result<()> {
        // A leftover may have been planted or have other modes: always a new file.
        match fs::remove_file(temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        match fs::rename(self.path(), self.previous()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::rename(temporary, self.path())?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests;
