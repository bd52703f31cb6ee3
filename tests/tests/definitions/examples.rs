//! The examples run as they stand, and the schema is the one that this version writes.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use supervisor_tests::{Home, http, programs};

use crate::plan;

#[test]
fn the_reference_runs_as_it_stands() {
    let home = Home::new();
    let file = home.copy(&examples().join("reference.toml"), "reference.toml");
    let file = file.to_str().expect("plain names");
    home.ctl(&["check", file]).ok();
    home.ctl(&["up", file]).ok();
    for row in home.status() {
        let expected = if row["name"] == "backup" {
            "completed"
        } else {
            "running"
        };
        assert_eq!(row["state"], expected, "{row}");
    }
    let again = plan(home.ctl(&["up", "--json", file]));
    assert_eq!(again["change"], json!([]));
}

#[test]
fn every_example_runs() {
    let mut seen = 0;
    for folder in fs::read_dir(examples()).expect("the examples") {
        let folder = folder.expect("readable").path();
        if !folder.join("supervisor.toml").is_file() {
            continue;
        }
        seen += 1;
        let home = Home::new();
        let copy = home.copy(&folder, "example");
        let file = copy.join("supervisor.toml");
        let port = http::free_port().to_string();
        // A port that another test or a person on this machine may have.
        let text = fs::read_to_string(&file).expect("just copied");
        fs::write(&file, text.replace("3001", &port)).expect("our own folder");
        let file = file.to_str().expect("plain names");
        home.ctl(&["check", file]).ok();
        home.ctl(&["up", file]).ok();
        let rows = home.status();
        assert!(!rows.is_empty(), "{file}");
        for row in &rows {
            assert_eq!(row["state"], "running", "{file}: {row}");
            assert_eq!(row["restarts"], 0, "{file}: {row}");
        }
    }
    assert!(seen > 0, "no example in {}", examples().display());
}

#[test]
fn the_schema_is_the_one_that_editors_are_given() {
    let home = Home::new();
    let told = home.ctl(&["schema"]).ok();
    let given = fs::read_to_string(examples().join("supervisor.schema.json")).expect("the schema");
    assert!(
        told.stdout == given,
        "supervisorctl schema > examples/supervisor.schema.json"
    );
    home.ctl(&["status"]).exits(5);
}

fn examples() -> PathBuf {
    programs::example().with_file_name("")
}
