//! `file:PATH`: something of this path is there.

use std::fs;
use std::path::Path;

use super::{Answer, Threads, why};

pub(super) async fn is_there(path: &Path, threads: &Threads) -> Answer {
    let path = path.to_owned();
    let found = threads.call(move || fs::metadata(path)).await?;
    found.map(drop).map_err(|error| why(&error))
}
