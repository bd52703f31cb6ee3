use std::fs;
use std::os::unix::fs::MetadataExt;

use supervisor_logs::StreamId;

use super::*;

fn target(app: &str) -> Target {
    Target {
        id: StreamId {
            app: app.to_owned(),
            instance: 0,
            stream: LogStream::Out,
        },
        path: None,
        rules: Arc::default(),
    }
}

fn frames(folder: &Folder, streams: &[Target], wish: Wish) -> Vec<(Logs, Vec<OwnedFd>)> {
    let mut frames = Vec::new();
    let opened = open_all(folder, streams, wish, |frame| {
        frames.push(frame);
        true
    });
    opened.expect("they can be opened");
    for (logs, fds) in &frames {
        assert_eq!(logs.descriptors(), fds.len());
        assert!(fds.len() <= Logs::DESCRIPTORS);
    }
    frames
}

#[test]
fn archives_come_newest_first_with_their_indexes_behind_them() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = Folder::new(home.path().join("logs"));
    let family = Family::new(&folder, &target("web"));
    for _ in 0..2 {
        family.open_live().expect("a file");
        family.open_index().expect("a file");
        family.rotate(10).expect("rotated");
    }
    fs::remove_file(format!("{}.2.idx", family.live().display())).expect("it is there");
    let none = Wish {
        follow: false,
        archives: 0,
    };
    assert!(frames(&folder, &[target("web")], none).is_empty());
    let wish = Wish {
        follow: true,
        archives: u32::MAX,
    };
    let all = frames(&folder, &[target("web")], wish);
    let [(logs, fds)] = &all[..] else {
        panic!("{} frames", all.len())
    };
    assert!(logs.inotify);
    let shape = |file: &LogFile| (file.number, file.index, file.watch.is_some());
    let shapes: Vec<_> = logs.files.iter().map(shape).collect();
    assert_eq!(
        shapes,
        [(0, false, true), (1, true, false), (2, false, false)]
    );
    let inode = |fd: &OwnedFd| {
        fs::File::from(fd.try_clone().unwrap())
            .metadata()
            .unwrap()
            .ino()
    };
    let named = |path: &Path| fs::metadata(path).expect("it is there").ino();
    assert_eq!(inode(&fds[1]), named(&logs.files[0].path));
    assert_eq!(inode(&fds[2]), named(&logs.files[1].path));
    assert_eq!(inode(&fds[4]), named(&logs.files[2].path));
    let one = Wish {
        follow: false,
        archives: 1,
    };
    assert_eq!(frames(&folder, &[target("web")], one)[0].0.files.len(), 2);
}

#[test]
fn a_frame_has_whole_streams_where_they_fit() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = Folder::new(home.path().join("logs"));
    let apps: Vec<Target> = (0..4).map(|n| target(&format!("app{n}"))).collect();
    for (app, rotated) in apps.iter().zip([120, 100, 30, 600]) {
        let family = Family::new(&folder, app);
        drop(family.open_live().expect("a file"));
        for number in 1..=rotated {
            fs::write(format!("{}.{number}", family.live().display()), "x").expect("written");
        }
    }
    let wish = Wish {
        follow: false,
        archives: u32::MAX,
    };
    let frames = frames(&folder, &apps, wish);
    let of = |logs: &Logs| {
        let mut names: Vec<_> = logs.files.iter().map(|file| file.name.clone()).collect();
        names.dedup();
        (names.join(" "), logs.files.len())
    };
    let shapes: Vec<_> = frames.iter().map(|(logs, _)| of(logs)).collect();
    let expected = [
        ("app0 app1".to_owned(), 222),
        ("app2".to_owned(), 31),
        ("app3".to_owned(), 249),
        ("app3".to_owned(), 249),
        ("app3".to_owned(), 103),
    ];
    assert_eq!(shapes, expected);
}

#[test]
fn nobody_who_listens_ends_the_work() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = Folder::new(home.path().join("logs"));
    let apps: Vec<Target> = (0..300).map(|n| target(&format!("app{n}"))).collect();
    let wish = Wish {
        follow: true,
        archives: 0,
    };
    let mut sent = 0;
    let opened = open_all(&folder, &apps, wish, |_| {
        sent += 1;
        false
    });
    opened.expect("it is no fault");
    assert_eq!(sent, 1);
}
