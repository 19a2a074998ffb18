//! The shell file `env`: API keys, addresses and the demonstration's ids, to be sourced before
//! calling curl.

use anyhow::Result;

use super::cluster::{Bootstrap, Cluster};
use super::demonstration::Made;
use super::files;
use super::topology::Kind;

/// Writes it.
///
/// # Errors
/// When it cannot be written.
pub fn write(cluster: &Cluster, bootstrap: &Bootstrap, made: Option<&Made>) -> Result<()> {
    files::write_secret(&cluster.folder().env(), render(cluster, bootstrap, made))
}

fn render(cluster: &Cluster, bootstrap: &Bootstrap, made: Option<&Made>) -> String {
    let nodes = cluster.topology().urls(Kind::Node).join(" ");
    let edges = cluster.topology().urls(Kind::Edge).join(" ");
    let mut variables = vec![
        (
            "VECTORGATE_API_KEY",
            bootstrap.environments.production.api_key.as_str(),
        ),
        (
            "VECTORGATE_TEST_KEY",
            bootstrap.environments.sandbox.api_key.as_str(),
        ),
        ("VECTORGATE_NODES", &nodes),
        ("VECTORGATE_EDGES", &edges),
    ];
    if let Some(made) = made {
        variables.push(("VECTORGATE_ROUTE_ID", &made.route_id));
        variables.push(("VECTORGATE_UPSTREAM_ID", &made.upstream_id));
    }
    let mut text = "# The local cluster, for `source target/local/env`. Holds API keys: keep it to yourself.\n".to_owned();
    for (name, value) in variables {
        text.push_str(&format!("export {name}={}\n", quote(value)));
    }
    text
}

/// A word that a shell takes as it is.
fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for value in ["plain", "two words", "it's", "$HOME `x` \"y\" \\"] {
            let script = format!("printf %s {}", quote(value));
            let output = std::process::Command::new("sh")
                .args(["-c", &script])
                .output()
                .expect("a shell");
            assert_eq!(String::from_utf8_lossy(&output.stdout), value);
        }
    }
}
