//! What `up` is going to do, in one line.

use supervisor_protocol::Plan;

use super::sanitize;

/// `FILE: create a, b; change c (env, command); …`.
pub fn render(plan: &Plan) -> String {
    let changes = plan
        .change
        .iter()
        .map(|(name, keys)| format!("{name} ({})", keys.join(", ")));
    let parts = [
        ("create", plan.create.clone()),
        ("change", changes.collect()),
        ("remove", plan.remove.clone()),
        ("untouched", plan.untouched.clone()),
        ("stopped by the operator", plan.stopped.clone()),
    ];
    let parts: Vec<_> = parts
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what} {}", names.join(", ")))
        .collect();
    let text = if parts.is_empty() {
        "no apps".into()
    } else {
        parts.join("; ")
    };
    sanitize::cell(&format!("{}: {text}", plan.file.display())) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_and_none() {
        let plan = Plan {
            file: "/srv/supervisor.toml".into(),
            create: vec!["a".into(), "b".into()],
            change: vec![("c".into(), vec!["env".into(), "command".into()])],
            remove: vec!["d".into()],
            untouched: vec!["e".into()],
            stopped: vec!["f".into()],
        };
        assert_eq!(
            render(&plan),
            "/srv/supervisor.toml: create a, b; change c (env, command); remove d; untouched e; \
             stopped by the operator f\n"
        );
        let nothing = Plan {
            file: "/x".into(),
            ..Plan::default()
        };
        assert_eq!(render(&nothing), "/x: no apps\n");
    }
}
