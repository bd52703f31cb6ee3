//! Faulty files, one for each kind of fault: what is told of each, with the line and a marker below
//! it as a terminal would show them. The files are beside this one, in `bad/`.

use std::fs;
use std::path::{Path, PathBuf};

use supervisor_config::{Fault, Origin, parse};

/// The words of every secret in the files.
const SECRETS: [&str; 2] = ["hush", "1234"];

fn rendered(fault: &Fault) -> String {
    let Some(excerpt) = &fault.excerpt else {
        return format!("{fault}\n");
    };
    let blank = " ".repeat(excerpt.column - 1);
    let marker = "^".repeat(excerpt.width);
    format!("{fault}\n    | {}\n    | {blank}{marker}\n", excerpt.text)
}

fn told(path: &Path) -> String {
    let name = path
        .file_name()
        .expect("a file")
        .to_string_lossy()
        .into_owned();
    let text = fs::read_to_string(path).expect("it can be read");
    let origin = Origin::File {
        path: Path::new("/etc/supervisor").join(&name),
        daemons_own: false,
    };
    let faults = parse(&text, &origin)
        .err()
        .unwrap_or_else(|| panic!("{name} is sound"));
    let said: String = faults.list.iter().map(rendered).collect();
    said.replace("/etc/supervisor/", "")
}

#[test]
fn each_kind_of_fault_is_told_at_its_place() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let entries = fs::read_dir(folder).expect("it is there");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    // What zones there are is up to the machine.
    let zones = Path::new("/usr/share/zoneinfo/Europe/Berlin").exists();
    files.retain(|file| zones || !file.ends_with("zone.toml"));
    assert!(files.len() > 10);
    for file in files {
        let said = told(&file);
        for secret in SECRETS {
            assert!(!said.contains(secret), "{said}");
        }
        let control = |c: char| c.is_control() && c != '\n';
        assert!(!said.contains(control), "{said:?}");
        let stem = file.file_stem().expect("a name").to_string_lossy();
        insta::assert_snapshot!(format!("{stem}"), said);
    }
}
