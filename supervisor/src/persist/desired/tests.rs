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

fn asked(what: What) -> Asked {
    Asked {
        what,
        ..Asked::by_a_test()
    }
}

fn desired() -> Desired {
    let mut desired = Desired::default();
    desired.put(app("api", 2), None, &asked(What::Defined));
    desired.put(
        app("db", 1),
        Some("/etc/x.toml".into()),
        &asked(What::Defined),
    );
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
        // As often as one likes: what is whole stays.
        assert_eq!(store.load().expect("again").desired, loaded.desired);
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
    desired.put(app("api", 4), None, &asked(What::Defined));
    let ids: Vec<u64> = desired.apps[&name("api")]
        .instances
        .values()
        .map(|w| w.id)
        .collect();
    assert_eq!(ids, [0, 1, 3, 4]);
    assert_eq!(desired.wish(&zero).expect("there").want, Want::Down);
    desired.put(app("api", 1), None, &asked(What::Defined));
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

/// A document with its checksum, as a program of another time might have written it.
fn doctored(version: u32, rest: &str) -> Vec<u8> {
    let document = format!(r#"{{"version":{version}{rest}}}"#);
    let sum = crc32fast::hash(document.as_bytes());
    format!("{document}\ncrc32 {sum:08x}\n").into_bytes()
}

#[test]
fn what_another_version_wrote_is_refused_and_the_one_before_is_not_taken_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::new(folder.path());
    store.save(&desired()).expect("saves");
    store.save(&desired()).expect("saves");
    for foreign in [
        doctored(2, r#","apps":[1,2,3],"of_tomorrow":true"#),
        doctored(0, ""),
        // It says that it is of this version, and is whole: then it is not this program's.
        doctored(1, r#","apps":[1,2,3]"#),
    ] {
        fs::write(store.path(), &foreign).expect("writes");
        let why = store.load().expect_err("refused");
        assert!(why.contains("another version of this program"), "{why}");
        assert_eq!(fs::read(store.path()).expect("reads"), foreign, "untouched");
    }
    // Damaged, and the one before is foreign.
    fs::write(store.path(), b"x").expect("writes");
    fs::write(store.previous(), doctored(2, "")).expect("writes");
    assert!(store.load().expect_err("refused").contains("version 2"));
}

#[test]
fn what_is_new_in_the_same_version_may_be_missing_or_unknown() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::new(folder.path());
    let rest = r#","of_tomorrow":{"a":1}"#;
    fs::write(store.path(), doctored(VERSION, rest)).expect("writes");
    assert_eq!(store.load().expect("loads").desired, Desired::default());
}

#[test]
fn what_was_asked_last_is_kept_with_whoever_asked() {
    let mut desired = desired();
    let of = |instance| ServiceId {
        app: name("api"),
        instance,
    };
    let last = |desired: &Desired, instance| {
        let wish = desired.wish(&of(instance)).expect("there");
        wish.last.as_ref().map(|last| last.what)
    };
    assert!(desired.ask(&of(1), Want::Down, &asked(What::Stopped)));
    assert_eq!(last(&desired, 1), Some(What::Stopped));
    assert_eq!(last(&desired, 0), Some(What::Defined));
    // Who asks for what is so already has not made it so; who restarts has.
    assert!(!desired.ask(&of(0), Want::Up, &asked(What::Started)));
    assert_eq!(last(&desired, 0), Some(What::Defined));
    assert!(!desired.ask(&of(0), Want::Up, &asked(What::Restarted)));
    assert_eq!(last(&desired, 0), Some(What::Restarted));
    // More instances change nothing of the others.
    desired.put(app("api", 3), None, &asked(What::Scaled));
    let all = [0, 1, 2].map(|instance| last(&desired, instance));
    let expected = [What::Restarted, What::Stopped, What::Scaled];
    assert_eq!(all, expected.map(Some));
}

#[test]
fn a_word_of_a_later_version_is_read() {
    let text = r#"{"what":"promoted","uid":7,"user":null,"at_ms":1}"#;
    let asked: Asked = serde_json::from_str(text).expect("reads");
    assert_eq!(asked.what, What::Changed);
}

#[test]
fn a_damaged_state_never_takes_the_place_of_the_one_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::new(folder.path());
    store.save(&desired()).expect("saves");
    store.save(&Desired::default()).expect("saves");
    fs::write(store.path(), b"damaged").expect("writes");
    let loaded = store.load().expect("falls back");
    assert_eq!(loaded.desired, desired());
    store.save(&Desired::default()).expect("saves");
    fs::write(store.path(), b"damaged again").expect("writes");
    assert_eq!(store.load().expect("falls back").desired, desired());
    let aside = fs::read(folder.path().join("desired.json.damaged"));
    assert_eq!(aside.expect("for a person"), b"damaged again");
}
