//! Where the programs under test are, and the app that the tests let them run.

use std::env;
use std::path::{Path, PathBuf};

/// The daemon.
#[must_use]
pub fn supervisor() -> PathBuf {
    shipped("supervisor")
}

/// The command line.
#[must_use]
pub fn supervisorctl() -> PathBuf {
    shipped("supervisorctl")
}

/// Another build of the daemon: the one of the profile that this test is built in.
#[must_use]
pub fn other_supervisor() -> PathBuf {
    let found = profile_folder().join("supervisor");
    assert!(
        found.is_file(),
        "{} is missing, and an upgrade needs two builds of the daemon: run `cargo build -p supervisor` \
         (tests/run.sh does it)",
        found.display()
    );
    found
}

/// `testapp`, built together with the tests; its source says what it can do.
#[must_use]
pub fn testapp() -> PathBuf {
    let found = profile_folder().join("testapp");
    assert!(
        found.is_file(),
        "{} is missing: run this with `cargo test`, or build it with `cargo build -p supervisor-tests`",
        found.display()
    );
    found
}

/// The example backend's folder.
#[must_use]
pub fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/smd-backend")
}

/// `SUPERVISOR_BIN_DIR`, else the release folder beside the one that holds this test.
#[must_use]
pub fn folder() -> PathBuf {
    match env::var_os("SUPERVISOR_BIN_DIR") {
        Some(folder) => folder.into(),
        None => profile_folder().with_file_name("release"),
    }
}

fn shipped(name: &str) -> PathBuf {
    let program = folder().join(name);
    assert!(
        program.is_file(),
        "{} is missing: run `cargo build --release -p supervisor -p supervisorctl` first, \
         or set SUPERVISOR_BIN_DIR to the folder of the programs (tests/run.sh does all of it)",
        program.display()
    );
    program
}

/// `…/target/PROFILE`; a program stands in it, a test is `…/target/PROFILE/deps/NAME-HASH`.
fn profile_folder() -> PathBuf {
    let me = env::current_exe().expect("a program knows its own path");
    let folder = me.parent().expect("a program stands in a folder");
    match folder.parent() {
        Some(profile) if folder.ends_with("deps") => profile.to_owned(),
        _ => folder.to_owned(),
    }
}
