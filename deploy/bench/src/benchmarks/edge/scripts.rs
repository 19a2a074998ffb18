//! Scripts for wrk.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Writes a script that has wrk ask for one path after the other. Its requests are made before it begins.
pub(super) fn one_after_the_other(
    file: &Path,
    paths: impl Iterator<Item = String>,
) -> Result<PathBuf> {
    let mut text = "local paths = {\n".to_owned();
    for path in paths {
        writeln!(text, "  \"{path}\",").context("a script is text")?;
    }
    text.push_str(
        "}
local requests, last = {}, 0
function init(arguments)
  for place, path in ipairs(paths) do
    requests[place] = wrk.format(\"GET\", path)
  end
end
function request()
  last = last % #requests + 1
  return requests[last]
end
",
    );
    fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(file.to_owned())
}
