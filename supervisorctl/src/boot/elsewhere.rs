//! What starts the daemon at boot where there is no systemd: texts that work as they stand.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

use super::setup::Setup;
use super::{Scope, user_name};
use crate::errors::{CliError, Exit};

/// Everything that may be wanted, each with where it goes.
pub fn all(setup: &Setup) -> Result<String, CliError> {
    let words = Words::of(setup)?;
    let texts = match setup.scope {
        Scope::System => vec![
            openrc(&words),
            runit(&words),
            rc_local(&words),
            container(&words)?,
        ],
        Scope::User => vec![crontab(&words), rc_local(&words), container(&words)?],
    };
    Ok(texts.join("\n"))
}

/// What all of them are made from, each a word for a shell.
struct Words<'a> {
    supervisor: Cow<'a, str>,
    supervisorctl: Cow<'a, str>,
    /// `NAME=VALUE`, the value quoted.
    variables: Vec<String>,
    scope: Scope,
}

impl Words<'_> {
    fn of(setup: &Setup) -> Result<Words<'_>, CliError> {
        let path = |path: &'_ Path| shell("program", path.as_os_str()).map(Cow::into_owned);
        let variables = setup.variables.iter().map(|(name, value)| {
            let value = shell(name, value)?;
            Ok(format!("{name}={value}"))
        });
        Ok(Words {
            supervisor: path(&setup.supervisor)?.into(),
            supervisorctl: path(&setup.supervisorctl)?.into(),
            variables: variables.collect::<Result<_, CliError>>()?,
            scope: setup.scope,
        })
    }

    /// Lines of a shell script that set the environment.
    fn exports(&self) -> String {
        let lines = self.variables.iter().map(|set| format!("export {set}\n"));
        lines.collect()
    }

    /// `supervisor --daemonize` with its environment, in one line.
    fn command(&self) -> String {
        let env: String = self.variables.iter().map(|set| format!("{set} ")).collect();
        format!("{env}{} --daemonize", self.supervisor)
    }
}

fn shell<'a>(what: &str, text: &'a OsStr) -> Result<Cow<'a, str>, CliError> {
    let fits = text
        .to_str()
        .filter(|text| !text.contains(char::is_control));
    let quoted = fits.and_then(|text| shlex::try_quote(text).ok());
    quoted.ok_or_else(|| {
        CliError::new(
            Exit::Failed,
            format!(
                "the {what} {:?} cannot stand in such a file",
                text.to_string_lossy()
            ),
        )
        .cause("it is no plain text in one line")
        .hint("use a path without it")
    })
}

fn openrc(words: &Words) -> String {
    let Words {
        supervisor,
        supervisorctl,
        ..
    } = words;
    let exports = words.exports();
    format!(
        r#"OpenRC: this as /etc/init.d/supervisor, then `chmod 755 /etc/init.d/supervisor && rc-update add supervisor default`

#!/sbin/openrc-run
description="Runs programs and keeps them running"
extra_started_commands="reload"
{exports}
depend() {{
    need localmount
    use net
    after bootmisc
}}
start() {{
    ebegin "Starting the supervisor"
    {supervisor} --daemonize
    eend $?
}}
stop() {{
    ebegin "Stopping the supervisor and its apps"
    {supervisorctl} daemon stop
    eend $?
}}
reload() {{
    {supervisorctl} daemon reload
}}
status() {{
    {supervisorctl} daemon status
}}
"#
    )
}

fn runit(words: &Words) -> String {
    let Words { supervisor, .. } = words;
    let exports = words.exports();
    format!(
        r"runit: this as /etc/sv/supervisor/run, then `chmod 755 /etc/sv/supervisor/run && ln -s /etc/sv/supervisor /etc/service/`

#!/bin/sh
exec 2>&1
{exports}exec {supervisor}
"
    )
}

fn rc_local(words: &Words) -> String {
    let command = words.command();
    let line = match words.scope {
        Scope::System => command,
        Scope::User => {
            // Quoted once more for the shell that `su` starts.
            let command = shlex::try_quote(&command).unwrap_or_else(|_| command.as_str().into());
            format!("su - {} -c {command}", user_name())
        }
    };
    format!("rc.local: this line in /etc/rc.local, above `exit 0`\n\n{line}\n")
}

fn crontab(words: &Words) -> String {
    // To cron a percent sign is a line break.
    let command = words.command().replace('%', r"\%");
    format!("cron: this line in what `crontab -e` opens; it needs no root\n\n@reboot {command}\n")
}

fn container(words: &Words) -> Result<String, CliError> {
    let Words {
        supervisor,
        supervisorctl,
        ..
    } = words;
    // An image has a PATH of its own.
    let variables = words.variables.iter();
    let exports: String = variables
        .filter(|set| !set.starts_with("PATH="))
        .map(|set| format!("export {set}; "))
        .collect();
    let script = format!(
        "{exports}(until {supervisorctl} daemon status; do sleep 0.1; done >/dev/null 2>&1; \
         exec {supervisorctl} up) & exec {supervisor}"
    );
    let entrypoint = serde_json::to_string(&["/bin/sh", "-c", &script]).map_err(|error| {
        CliError::new(
            Exit::Failed,
            format!("it cannot be written as JSON: {error}"),
        )
    })?;
    Ok(format!(
        "A container: this line in its Dockerfile; the apps are those of the config files. As PID 1 the supervisor \
         reaps what is left behind and stops the apps in order when the container is stopped (`docker stop -t` \
         says how long they may take)\n\nENTRYPOINT {entrypoint}\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::setup::fixture;

    #[test]
    fn of_the_machine() {
        insta::assert_snapshot!(all(&fixture(Scope::System)).unwrap());
    }

    #[test]
    fn with_what_shells_and_cron_would_change() {
        let mut setup = fixture(Scope::System);
        setup.supervisor = "/opt/a b/supervisor".into();
        setup.variables = vec![("SUPERVISOR_HOME", "/srv/100%/it's \"$x\"".into())];
        let words = Words::of(&setup).unwrap();
        let text = [
            rc_local(&words),
            crontab(&words),
            container(&words).unwrap(),
        ]
        .join("\n");
        insta::assert_snapshot!(text);
        setup.variables = vec![("SUPERVISOR_HOME", "/srv/a\nb".into())];
        assert!(all(&setup).is_err());
    }
}
