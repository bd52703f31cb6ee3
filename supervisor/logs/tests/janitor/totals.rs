//! Which archives go.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use supervisor_logs::{Rules, Stream, Target, Victims, drop_oldest_archive};

use crate::{Rig, archive, content, noise, out, plain, seconds, target, wait};

#[test]
fn an_app_s_archives_make_room_for_its_live_files_oldest_first() {
    let rig = Rig::new();
    // Two live files of at most 100 KB: 300 KB are left for archives.
    let rules = Rules {
        max_size: Some(100_000),
        max_total: Some(500_000),
        ..plain()
    };
    let stdout = target("shop", 0, Stream::Out, &rules);
    let stderr = target("shop", 0, Stream::Err, &rules);
    let gone = target("shop", 7, Stream::Out, &rules);
    let other = out("other", &rules);
    let families = [&stdout, &stderr, &gone, &other].map(|target| rig.family(target));
    rig.registry.add(&stdout);
    rig.registry.add(&stderr);
    for second in 0..9 {
        archive(&families[second % 3], &noise(60_000, 1), second as u64);
    }
    archive(&families[3], &noise(60_000, 1), 0);
    rig.janitor
        .rotated(&families[0], &stdout, Victims::default());
    let mine = || seconds(&[&families[0], &families[1], &families[2]]);
    wait("tidiness", || mine() == [4, 5, 6, 7, 8]);
    assert_eq!(seconds(&[&families[3]]), [0], "another app's");

    // A live file of nobody takes what it has, an index counts, too.
    families[2]
        .open_live()
        .unwrap()
        .write_all(&noise(50_000, 1))
        .unwrap();
    families[1]
        .open_index()
        .unwrap()
        .write_all(&noise(20_000, 1))
        .unwrap();
    families[1].open_live().unwrap().write_all(b"x").unwrap();
    rig.janitor
        .rotated(&families[0], &stdout, Victims::default());
    wait("more tidiness", || mine() == [6, 7, 8]);
    rig.no_trouble();
}

#[test]
fn of_files_of_one_moment_the_highest_number_is_the_oldest_and_indexes_count() {
    let rig = Rig::new();
    let rules = Rules {
        max_total: Some(30_000),
        ..plain()
    };
    let target = out("shop", &rules);
    let family = rig.family(&target);
    for content in 0..4u8 {
        family.open_index().unwrap().write_all(&[0; 5_000]).unwrap();
        archive(&family, &[content; 5_000], 7);
    }
    rig.janitor.rotated(&family, &target, Victims::default());
    wait("tidiness", || family.members().unwrap().len() == 3);
    for (member, byte) in family.members().unwrap().iter().zip([3, 2, 1]) {
        assert_eq!(content(&family, member), [byte; 5_000]);
    }
    rig.no_trouble();
}

#[test]
fn all_apps_together_stay_within_their_total() {
    let rig = Rig::new();
    let rules = Rules {
        max_size: Some(70_000),
        ..plain()
    };
    let targets = ["a", "b", "gone"].map(|app| out(app, &rules));
    let families = [0, 1, 2].map(|at| rig.family(&targets[at]));
    let path = rig.dir.path().join("chosen/app.txt");
    let chosen = Target {
        path: Some(path.clone()),
        ..out("c", &rules)
    };
    let chosen_family = rig.family(&chosen);
    for target in [&targets[0], &targets[1], &chosen] {
        rig.registry.add(target);
    }
    for second in 0..12 {
        let family = families.get(second % 4).unwrap_or(&chosen_family);
        archive(family, &noise(50_000, 1), second as u64);
    }
    // Things that are nobody's log.
    fs::write(
        rig.dir.path().join("logs/supervisor.log"),
        noise(900_000, 1),
    )
    .unwrap();
    fs::write(rig.dir.path().join("logs/a/notes"), noise(900_000, 1)).unwrap();
    for (target, family) in [(&targets[0], &families[0]), (&chosen, &chosen_family)] {
        rig.janitor.adopted(family, target);
    }
    let all = || seconds(&[&families[0], &families[1], &families[2], &chosen_family]);
    assert_eq!(all().len(), 12);
    // 210 KB for the live ones, 300 KB for six archives.
    rig.janitor.set_total(Some(510_000));
    assert_eq!(rig.registry.limit(&targets[0]), Some(70_000));
    wait("tidiness", || all() == [6, 7, 8, 9, 10, 11]);
    rig.janitor.set_total(None);
    archive(&families[0], &noise(50_000, 1), 12);
    rig.janitor
        .rotated(&families[0], &targets[0], Victims::default());
    rig.no_trouble();
    assert_eq!(all().len(), 7);
}

#[test]
fn the_oldest_archive_of_the_app_is_dropped_and_its_blocks_with_it() {
    let rig = Rig::new();
    let targets = [0, 5].map(|instance| target("shop", instance, Stream::Out, &plain()));
    let families = [0, 1].map(|at| rig.family(&targets[at]));
    for (second, size) in [(2, 100), (3, 300)] {
        archive(&families[0], &noise(size, 1), second);
    }
    archive(&families[1], &noise(100_000, 1), 1);
    archive(&rig.family(&out("other", &plain())), b"another app's", 0);
    families[0].open_live().unwrap().write_all(b"live").unwrap();
    let backup = rig.dir.path().join("backup");
    fs::hard_link(families[0].live().with_file_name("0.out.log.2"), &backup).unwrap();
    let held = File::open(families[1].live().with_file_name("5.out.log.1")).unwrap();
    let drop_one = || drop_oldest_archive(&rig.folder, &targets[0]).unwrap();
    assert_eq!(drop_one(), Some(100_000));
    assert_eq!(
        held.metadata().unwrap().blocks(),
        0,
        "free although it is open"
    );
    assert_eq!(drop_one(), Some(100));
    assert_eq!(fs::read(&backup).unwrap().len(), 100, "it has another name");
    assert_eq!(seconds(&[&families[0]]), [3]);
    assert_eq!(drop_one(), Some(300));
    assert_eq!(drop_one(), None);
    assert_eq!(fs::read(families[0].live()).unwrap(), b"live");
    let nobody = out("nobody", &plain());
    assert_eq!(drop_oldest_archive(&rig.folder, &nobody).unwrap(), None);

    let chosen = Target {
        path: Some(rig.dir.path().join("chosen.log")),
        ..out("other", &plain())
    };
    archive(&rig.family(&chosen), b"chosen", 9);
    assert_eq!(drop_oldest_archive(&rig.folder, &chosen).unwrap(), Some(6));
    assert_eq!(drop_oldest_archive(&rig.folder, &chosen).unwrap(), None);
}
