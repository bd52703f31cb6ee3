//! Which file each stream of each app goes to, and what holds for it: from definitions to what the log
//! pump understands. Shared with the pump's threads, which ask for the streams that an engine before
//! this one left them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use supervisor_config::{App, LogFormat, Logs, OnFull, Output};
use supervisor_core::{Name, ServiceId};
use supervisor_logs::{Folder, Format, Rules, Stream, StreamId, Target};

use super::ending::stream_id;
use crate::persist::desired::Desired;

/// What a stream of a new process is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A pipe of its own, into its log.
    Pipe,
    /// Whatever standard output is connected to.
    Merged,
    /// `/dev/null`.
    Null,
}

/// What standard output and standard error of an app are connected to.
pub fn routes(logs: &Logs) -> [Route; 2] {
    let route = |output: &Output| match output {
        Output::Usual | Output::File(_) => Route::Pipe,
        Output::Null => Route::Null,
    };
    let stderr = match logs.merge {
        true => Route::Merged,
        false => route(&logs.stderr),
    };
    [route(&logs.stdout), stderr]
}

/// The apps' logs.
#[derive(Debug, Default)]
pub struct Streams {
    apps: Mutex<BTreeMap<String, Known>>,
}

#[derive(Debug)]
struct Known {
    name: Name,
    logs: Logs,
    rules: Arc<Rules>,
}

impl Streams {
    /// Takes over the definitions; says for which apps other rules hold from now on.
    pub fn update(&self, desired: &Desired) -> Vec<(String, Arc<Rules>)> {
        let mut apps = self.lock();
        apps.retain(|_, known| desired.apps.contains_key(&known.name));
        let mut changed = Vec::new();
        for entry in desired.apps.values() {
            let App { name, logs, .. } = &entry.app;
            let known = apps.get(name.as_str());
            if known.is_some_and(|known| known.logs == *logs) {
                continue;
            }
            let rules = Arc::new(rules(logs));
            if known.is_some_and(|known| known.rules != rules) {
                changed.push((name.to_string(), Arc::clone(&rules)));
            }
            let (name, logs) = (name.clone(), logs.clone());
            apps.insert(name.to_string(), Known { name, logs, rules });
        }
        changed
    }

    /// Where a stream goes; `None`: of an app that nobody knows.
    pub fn target(&self, id: &StreamId) -> Option<Target> {
        let apps = self.lock();
        let known = apps.get(&id.app)?;
        let output = match id.stream {
            Stream::Out => &known.logs.stdout,
            Stream::Err => &known.logs.stderr,
        };
        Some(Target {
            id: id.clone(),
            path: output.file(&known.name, id.instance),
            rules: Arc::clone(&known.rules),
        })
    }

    /// The same for a stream that has bytes, whoever it belongs to: those of an app that is forgotten
    /// go where they usually would.
    pub fn target_or_usual(&self, id: &StreamId) -> Target {
        self.target(id).unwrap_or_else(|| Target {
            id: id.clone(),
            path: None,
            rules: Arc::default(),
        })
    }

    /// The streams of an instance that have a log of their own.
    pub fn logs_of(&self, id: &ServiceId) -> Vec<Target> {
        let routes = self.lock().get(id.app.as_str()).map(|k| routes(&k.logs));
        let streams = routes.into_iter().flatten().zip(0..);
        let own = streams.filter(|(route, _)| *route == Route::Pipe);
        own.filter_map(|(_, stream)| self.target(&stream_id(id, stream)))
            .collect()
    }

    /// The live files of both streams of an instance; `None`: not kept.
    pub fn paths(&self, id: &ServiceId, folder: &Folder) -> [Option<PathBuf>; 2] {
        let routes = self.lock().get(id.app.as_str()).map(|k| routes(&k.logs));
        let [stdout, stderr] = routes.unwrap_or([Route::Pipe; 2]);
        let path = |stream| {
            let target = self.target_or_usual(&stream_id(id, stream));
            folder.live_path(&target.id, target.path.as_deref())
        };
        let stdout = (stdout == Route::Pipe).then(|| path(0));
        let stderr = match stderr {
            Route::Pipe => Some(path(1)),
            Route::Merged => stdout.clone(),
            Route::Null => None,
        };
        [stdout, stderr]
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rules(logs: &Logs) -> Rules {
    Rules {
        max_size: logs.max_size,
        max_age: (logs.max_age.0 > 0).then(|| Duration::from_millis(logs.max_age.0)),
        keep: logs.keep,
        max_total: logs.max_total,
        compress: logs.compress,
        format: match logs.format {
            LogFormat::Raw => Format::Raw,
            LogFormat::Timestamp => Format::Timestamp,
        },
        on_full: match logs.on_full {
            OnFull::Drop => supervisor_logs::OnFull::Drop,
            OnFull::Block => supervisor_logs::OnFull::Block,
        },
    }
}

#[cfg(test)]
mod tests {
    use supervisor_config::{Origin, parse};

    use super::*;
    use crate::persist::desired::Asked;

    fn desired(logs: &str) -> Desired {
        let origin = Origin::CommandLine {
            directory: "/srv".into(),
            path: None,
        };
        let text = format!("[app.web]\ncommand = 'x'\ninstances = 2\n{logs}\n");
        let config = parse(&text, &origin).unwrap_or_else(|faults| panic!("{faults}"));
        let mut desired = Desired::default();
        for app in config.apps.into_values() {
            desired.put(app, None, &Asked::by_a_test());
        }
        desired
    }

    fn web(instance: u32) -> ServiceId {
        ServiceId {
            app: Name::new("web").expect("a name"),
            instance,
        }
    }

    fn shown(logs: &str) -> (Vec<String>, [Option<String>; 2]) {
        let streams = Streams::default();
        assert_eq!(streams.update(&desired(logs)), []);
        let own = streams.logs_of(&web(1)).into_iter();
        let own = own.map(|target| target.id.to_string()).collect();
        let paths = streams.paths(&web(1), &Folder::new("/logs".into()));
        (own, paths.map(|path| Some(path?.display().to_string())))
    }

    #[test]
    fn each_stream_has_its_file() {
        let some = |path: &str| Some(path.to_owned());
        let usual = ["/logs/web/1.out.log", "/logs/web/1.err.log"].map(some);
        assert_eq!(
            shown(""),
            (vec!["web:1 out".into(), "web:1 err".into()], usual)
        );
        let merged = ["/logs/web/1.out.log"; 2].map(some);
        assert_eq!(
            shown("logs.merge = true"),
            (vec!["web:1 out".into()], merged)
        );
        let own = [None, some("/l/web-1.log")];
        assert_eq!(
            shown("logs = { stdout = 'null', stderr = '/l/{app}-{instance}.log' }"),
            (vec!["web:1 err".into()], own)
        );
        assert_eq!(
            shown("logs = { stdout = 'null', merge = true }"),
            (Vec::new(), [None, None])
        );
    }

    #[test]
    fn only_what_holds_otherwise_is_a_change() {
        let streams = Streams::default();
        let id = stream_id(&web(0), 1);
        assert_eq!(streams.target(&id), None);
        assert_eq!(*streams.target_or_usual(&id).rules, Rules::default());
        streams.update(&desired(""));
        assert_eq!(*streams.target(&id).expect("known").rules, Rules::default());
        assert_eq!(streams.update(&desired("logs.stderr = '/e{instance}'")), []);
        let path = streams.target(&id).expect("known").path;
        assert_eq!(path, Some("/e0".into()));
        let changed = streams.update(&desired("logs = { max_age = '1m', keep = 2 }"));
        let rules = Rules {
            max_age: Some(Duration::from_secs(60)),
            keep: 2,
            ..Rules::default()
        };
        assert_eq!(changed, [("web".to_owned(), Arc::new(rules.clone()))]);
        assert_eq!(*streams.target(&id).expect("known").rules, rules);
        streams.update(&Desired::default());
        assert_eq!(streams.target(&id), None);
    }
}
