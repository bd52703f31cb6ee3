//! What nothing may have touched: the apps as they are, and what is written of them.

use std::fs;

use serde_json::Value;
use supervisor_tests::Home;

/// What a refusal leaves as it was.
#[derive(Debug, PartialEq, Eq)]
pub struct Untouched {
    rows: Vec<Value>,
    desired: Vec<u8>,
}

/// How it is now. Of each row, what does not change by itself.
#[track_caller]
pub fn untouched(home: &Home) -> Untouched {
    let mut rows = home.status();
    for row in rows.iter_mut().filter_map(Value::as_object_mut) {
        for moving in ["uptime_ms", "cpu_percent", "memory_bytes"] {
            row.remove(moving);
        }
    }
    Untouched {
        rows,
        desired: fs::read(home.path().join("state/desired.json")).unwrap_or_default(),
    }
}
