use std::os::unix::fs::PermissionsExt;

use super::*;

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn app(text: &str, instances: u32) -> App {
    serde_json::from_value(serde_json::json!({
        "name": text, "command": ["true"], "directory": "/", "instances": instances,
    }))
    .expect("an app")
}

fn desired() -> Desired {
    let mut desired = Desired::default();
    desired.put(app("api", 2), None);
    desired.put(app("db", 1), Some("/etc/x.toml".into()));
    desired
}

#[test]
fn what_is_saved_is_loaded_and_private() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::new(folder.path());
    store.save(&desired()).expect("saves");
    let loaded = store.load().expect("loads");
    assert_eq!(loaded.desired, desired());
    assert_eq!(loaded.warning, None);
    let mode = fs::metadata(store.path())
        .expect("is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn an_empty_folder_is_an_empty_state() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(
        Store::new(folder.path()).load().expect("loads").desired,
        Desired::default()
    );
}

#[test]
fn every_cut_and_every_flipped_byte_falls_back_to_the_one_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::new(folder.path());
    let before = desired();
    store.save(&before).expect("saves");
    let mut after = before.clone();
    after.remove(&name("api"));
    store.save(&after).expect("saves");
    let bytes = fs::read(store.path()).expect("reads");
    let damaged = (0..bytes.len()).flat_map(|at| {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x01;
        [bytes[..at].to_vec(), flipped]
    });
    for bytes in damaged {
        fs::write(store.path(), &bytes).expect("writes");
        let loaded = store.load().expect("falls back");
        // The newline at the very end says nothing.
        if loaded.desired == before {
            assert!(loaded.warning.is_some());
        } else {
            assert_eq!(loaded.desired, after);
        }
    }
    fs::write(store.path(), b"x").expect("writes");
    fs::write(store.previous(), b"y").expect("writes");
    assert!(
        store
            .load()
            .expect_err("nothing is left")
            .contains("move it away")
    );
}

#[test]
fn a_failed_save_leaves_what_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::new(folder.path());
    store.save(&desired()).expect("saves");
    fs::create_dir(folder.path().join("desired.json.new")).expect("in the way");
    assert!(store.save(&Desired::default()).is_err());
    assert_eq!(store.load().expect("loads").desired, desired());
}

#[test]
fn scaling_keeps_numbers_and_wishes() {
    let mut desired = desired();
    let zero = ServiceId {
        app: name("api"),
        instance: 0,
    };
    desired.wish_mut(&zero).expect("there").want = Want::Down;
    desired.put(app("api", 4), None);
    let ids: Vec<u64> = desired.apps[&name("api")]
        .instances
        .values()
        .map(|w| w.id)
        .collect();
    assert_eq!(ids, [0, 1, 3, 4]);
    assert_eq!(desired.wish(&zero).expect("there").want, Want::Down);
    desired.put(app("api", 1), None);
    let gone = desired.apps[&name("api")]
        .instances
        .values()
        .filter(|w| w.remove)
        .count();
    assert_eq!(gone, 3);
}

#[test]
fn the_boot_policy_decides_what_is_wanted() {
    let mut desired = desired();
    let set = |desired: &mut Desired, boot: Boot, want: Want| {
        let entry = desired.apps.get_mut(&name("db")).expect("there");
        entry.app.policy.boot = boot;
        entry.instances.get_mut(&0).expect("there").want = want;
    };
    for (boot, before, after) in [
        (Boot::Always, Want::Down, Want::Up),
        (Boot::Never, Want::Up, Want::Down),
        (Boot::Last, Want::Up, Want::Up),
        (Boot::Last, Want::Down, Want::Down),
    ] {
        set(&mut desired, boot, before);
        assert_eq!(desired.boot(), before != after);
        assert_eq!(desired.apps[&name("db")].instances[&0].want, after);
    }
}

#[test]
fn numbers_begin_anew_when_nothing_is_left() {
    let mut desired = desired();
    let all: Vec<ServiceId> = desired.instances().map(|(id, _, _)| id).collect();
    for id in &all {
        desired.forget(id);
    }
    assert_eq!(desired, Desired::default());
}
