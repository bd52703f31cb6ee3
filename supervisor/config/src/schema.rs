//! The JSON Schema of the config file, for editors. Comes whole from the table of keys.

use serde_json::{Map, Value as Json, json};
use supervisor_core::Name;

use crate::keys::{self, AppRole, Group, Key, Role};
use crate::shown::Told;
use crate::{App, form};

/// JSON Schema, draft 7, of the config file. What a schema cannot say, such as that an app in
/// `after` must exist, is left to [`crate::parse`]. The daemon's own tables are part of it.
#[must_use]
pub fn schema() -> Json {
    let blank = App::blank(Name::new("defaults").expect("it is a name"));
    let of_app = |key: &Key<AppRole>| match &key.role {
        AppRole::Carried { tell, .. } if key.path != keys::OWN => match tell(&blank) {
            Told::Value(value) => Some(value).filter(|value| *value != "" && !value.is_null()),
            Told::Names(_) => None,
        },
        AppRole::Carried { .. } | AppRole::NotYet(_) => None,
    };
    let app = table(keys::APP, keys::GROUPS, of_app);
    let mut file = table(keys::FILE, keys::FILE_GROUPS, |_| None);
    file["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    file["title"] = json!("The config file of supervisor");
    let definition = form::APP_DEFINITION.trim_start_matches("#/definitions/");
    file["definitions"] = json!({definition: app});
    file
}

/// A table of keys, with the tables in it.
fn table<R: Role>(
    keys: &[Key<R>],
    groups: &[Group],
    default: impl Fn(&Key<R>) -> Option<Json>,
) -> Json {
    let mut top = Map::new();
    for group in groups {
        top.insert(group.path.to_owned(), group_schema(group));
    }
    for key in keys {
        let mut schema = (key.schema)();
        let not_yet = if key.role.is_not_yet() {
            " Not carried out yet."
        } else {
            ""
        };
        schema["description"] = json!(format!("{}{not_yet}", key.doc.trim()));
        if let Some(default) = default(key) {
            schema["default"] = default;
        }
        match key.path.split_once('.') {
            None => {
                top.insert(key.path.to_owned(), schema);
            }
            Some((group, word)) => top[group]["properties"][word] = schema,
        }
    }
    json!({"type": "object", "properties": top, "additionalProperties": false})
}

fn group_schema(group: &Group) -> Json {
    let mut schema = json!({
        "type": "object",
        "description": group.doc.trim(),
        "properties": {},
        "additionalProperties": false,
    });
    if !group.one_of.is_empty() {
        // At most one, since the defaults may name it.
        let word = |path: &str| {
            path.rsplit_once('.')
                .map_or(path, |(_, word)| word)
                .to_owned()
        };
        let ways = group
            .one_of
            .iter()
            .map(|path| json!({"required": [word(path)]}));
        let mut ways: Vec<_> = ways.collect();
        ways.push(json!({"not": {"anyOf": ways.clone()}}));
        schema["oneOf"] = json!(ways);
    }
    schema
}
