//! Whom an app runs as.
//!
//! Owns: the way from names in a config file to numbers. Promises: an unknown or malformed name is an
//! error that says what to do, never root and never this process's own user by accident.
//! Leaves to others: carrying it out (`child`).

use std::ffi::CString;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

/// A user of this machine, with everything that a process of theirs needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's number.
    pub uid: u32,
    /// The primary group: the user's, or the one that was named.
    pub gid: u32,
    /// The supplementary groups, the primary one among them.
    pub groups: Vec<u32>,
    /// The login name.
    pub name: String,
    /// The home directory.
    pub home: PathBuf,
    /// The login shell.
    pub shell: PathBuf,
}

/// Why nobody can be run as that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// Neither a name nor a number of the user database.
    #[error(
        "there is no user \"{0}\" on this machine; create it (`useradd --system {0}`) or name another one in `user`"
    )]
    NoUser(String),
    /// The same for a group.
    #[error(
        "there is no group \"{0}\" on this machine; create it (`groupadd --system {0}`) or name another one"
    )]
    NoGroup(String),
    /// What can be no name at all.
    #[error(
        "\"{0}\" is not a user or group name: a letter or `_` first, then letters, digits, `.`, `_`, `-`, or a number that exists"
    )]
    Malformed(String),
    /// A group without a user, and the daemon is root.
    #[error("`group` alone would leave the app running as root; name the user as well")]
    GroupAlone,
    /// Only root may become another user.
    #[error(
        "this daemon runs as {own} and cannot run an app as \"{wanted}\"; leave `user` and `group` out, or run the daemon as root"
    )]
    NotRoot {
        /// Who the daemon is.
        own: String,
        /// Who was named.
        wanted: String,
    },
    /// The user database itself fails.
    #[error("cannot look up \"{name}\" in the user database: {}", errno.desc())]
    Database {
        /// What was looked up.
        name: String,
        /// Why.
        errno: Errno,
    },
}

/// Who `user` and `group` are; `None`: as the daemon itself.
///
/// # Errors
/// [`UserError`] is the sentence for the person who wrote the names.
pub fn resolve(user: Option<&str>, group: Option<&str>) -> Result<Option<Identity>, UserError> {
    let group = group.map(find_group).transpose()?;
    let Some(named) = user else {
        return match group {
            None => Ok(None),
            Some(group) => own_group(&group),
        };
    };
    let user = find_user(named)?;
    let own = Uid::effective();
    if !own.is_root() {
        if user.uid != own {
            return Err(not_root(&user.name));
        }
        if let Some(group) = &group {
            own_group(group)?;
        }
    }
    identity(user, group).map(Some)
}

/// The number of a group.
///
/// # Errors
/// As [`resolve`].
pub fn group(text: &str) -> Result<u32, UserError> {
    find_group(text).map(|group| group.gid.as_raw())
}

/// A daemon without privileges may name its own group, which changes nothing.
fn own_group(group: &Group) -> Result<Option<Identity>, UserError> {
    if Uid::effective().is_root() {
        Err(UserError::GroupAlone)
    } else if group.gid == Gid::effective() {
        Ok(None)
    } else {
        Err(not_root(&group.name))
    }
}

fn not_root(wanted: &str) -> UserError {
    let own = Uid::effective();
    let name = User::from_uid(own).ok().flatten().map(|user| user.name);
    UserError::NotRoot {
        own: name.unwrap_or_else(|| format!("uid {own}")),
        wanted: wanted.to_owned(),
    }
}

fn identity(user: User, group: Option<Group>) -> Result<Identity, UserError> {
    // A daemon without privileges keeps the group it has, whatever the database says by now.
    let gid = match group {
        Some(group) => group.gid,
        None if Uid::effective().is_root() => user.gid,
        None => Gid::effective(),
    };
    let failed = |errno| UserError::Database {
        name: user.name.clone(),
        errno,
    };
    let name = CString::new(user.name.as_str()).map_err(|_| failed(Errno::EINVAL))?;
    let mut groups: Vec<u32> = getgrouplist(&name, gid)
        .map_err(failed)?
        .into_iter()
        .map(Gid::as_raw)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    Ok(Identity {
        uid: user.uid.as_raw(),
        gid: gid.as_raw(),
        groups,
        name: user.name,
        home: user.dir,
        shell: user.shell,
    })
}

/// What a text in `user` or `group` can be.
#[derive(Debug, PartialEq, Eq)]
enum Written<'a> {
    Name(&'a str),
    Number(u32),
}

/// Digits only are a number, and then one that can exist: all ones means "unchanged" to the kernel, so
/// that number would quietly mean this process's own user.
fn written(text: &str) -> Result<Written<'_>, UserError> {
    let malformed = || UserError::Malformed(text.to_owned());
    let first = text.chars().next().ok_or_else(malformed)?;
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let number = text.parse().ok().filter(|&number| number < u32::MAX);
        return number.map(Written::Number).ok_or_else(malformed);
    }
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '\\' | '$');
    if (first.is_alphabetic() || first == '_') && text.len() <= 256 && text.chars().all(allowed) {
        Ok(Written::Name(text))
    } else {
        Err(malformed())
    }
}

fn find_user(text: &str) -> Result<User, UserError> {
    let found = match written(text)? {
        Written::Name(name) => User::from_name(name),
        Written::Number(number) => User::from_uid(Uid::from_raw(number)),
    };
    found
        .map_err(|errno| UserError::Database {
            name: text.to_owned(),
            errno,
        })?
        .ok_or_else(|| UserError::NoUser(text.to_owned()))
}

fn find_group(text: &str) -> Result<Group, UserError> {
    let found = match written(text)? {
        Written::Name(name) => Group::from_name(name),
        Written::Number(number) => Group::from_gid(Gid::from_raw(number)),
    };
    found
        .map_err(|errno| UserError::Database {
            name: text.to_owned(),
            errno,
        })?
        .ok_or_else(|| UserError::NoGroup(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(user: Option<&str>, group: Option<&str>) -> UserError {
        resolve(user, group).expect_err("must be refused")
    }

    #[test]
    fn malformed_names_are_nobody() {
        for text in [
            "",
            "0day",
            "-1",
            "4294967296",
            "4294967295",
            "+0",
            " 0",
            "0x0",
            "a b",
            "a/b",
            "a:b",
            "root\n",
        ] {
            assert_eq!(
                error(Some(text), None),
                UserError::Malformed(text.to_owned()),
                "{text:?}"
            );
            assert_eq!(
                error(Some("root"), Some(text)),
                UserError::Malformed(text.to_owned()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn names_and_numbers_are_told_apart() {
        assert_eq!(written("0"), Ok(Written::Number(0)));
        assert_eq!(written("4294967294"), Ok(Written::Number(4_294_967_294)));
        assert_eq!(written("www-data"), Ok(Written::Name("www-data")));
        assert_eq!(written("_apt"), Ok(Written::Name("_apt")));
    }

    #[test]
    fn who_does_not_exist_is_refused_with_advice() {
        let gone = error(Some("no-such-user-here"), None);
        assert_eq!(gone, UserError::NoUser("no-such-user-here".into()));
        assert!(gone.to_string().contains("useradd"));
        assert_eq!(
            error(Some("3999999999"), None),
            UserError::NoUser("3999999999".into())
        );
        assert_eq!(
            error(None, Some("no-such-group")),
            UserError::NoGroup("no-such-group".into())
        );
    }

    #[test]
    fn the_daemons_own_user_can_always_be_named() {
        let own = User::from_uid(Uid::effective())
            .expect("database")
            .expect("we exist");
        let found = resolve(Some(&own.name), None)
            .expect("own name")
            .expect("an identity");
        assert_eq!(
            (found.uid, &found.name, &found.home),
            (own.uid.as_raw(), &own.name, &own.dir)
        );
        let number = own.uid.to_string();
        assert_eq!(
            resolve(Some(&number), None).expect("own number"),
            Some(found)
        );
        assert_eq!(resolve(None, None), Ok(None));
    }

    #[test]
    fn others_only_for_root() {
        let Some(nobody) = User::from_name("nobody").expect("database") else {
            return;
        };
        if Uid::effective().is_root() {
            let found = resolve(Some("nobody"), None)
                .expect("root may")
                .expect("an identity");
            assert_eq!(
                (found.uid, found.gid),
                (nobody.uid.as_raw(), nobody.gid.as_raw())
            );
            assert!(found.groups.contains(&found.gid));
            let group = Group::from_gid(Gid::from_raw(0))
                .expect("database")
                .expect("group 0");
            let mixed = resolve(Some("nobody"), Some(&group.name))
                .expect("root may")
                .expect("an identity");
            assert_eq!((mixed.uid, mixed.gid), (nobody.uid.as_raw(), 0));
            assert!(
                !mixed.groups.contains(&found.gid),
                "the user's own primary group is not kept: {mixed:?}"
            );
            assert_eq!(error(None, Some(&group.name)), UserError::GroupAlone);
        } else {
            if Uid::effective() != nobody.uid {
                let refused = error(Some("nobody"), None);
                assert!(matches!(refused, UserError::NotRoot { .. }));
            }
            assert!(matches!(
                error(Some("root"), None),
                UserError::NotRoot { .. }
            ));
        }
    }
}
