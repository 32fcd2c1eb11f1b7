//! Folders on the machine.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

fn home(variable: &str, below_home: &str) -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os(variable).filter(|dir| !dir.is_empty()) {
        return Ok(PathBuf::from(dir));
    }
    let home = std::env::var_os("HOME").context("neither HOME nor an XDG folder is set")?;
    Ok(Path::new(&home).join(below_home))
}

/// Built components and images: `MOTHERSHIP_CACHE`, else `k0smotron-mothership` below
/// `XDG_CACHE_HOME` or `~/.cache`.
pub fn cache() -> Result<PathBuf> {
    let root = match std::env::var_os("MOTHERSHIP_CACHE").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => home("XDG_CACHE_HOME", ".cache")?,
    };
    Ok(root.join("k0smotron-mothership"))
}

/// The state folder that commands use without `--dir`: `MOTHERSHIP_DIR`, else
/// `k0smotron-mothership` below `XDG_STATE_HOME` or `~/.local/state`.
pub fn state() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("MOTHERSHIP_DIR").filter(|dir| !dir.is_empty()) {
        return Ok(PathBuf::from(dir));
    }
    Ok(home("XDG_STATE_HOME", ".local/state")?.join("k0smotron-mothership"))
}

/// This program, for starting itself again inside namespaces: `MOTHERSHIP_BIN`, else the running
/// program when it is `mothership`, else the `mothership` that cargo built beside the running test.
pub fn own_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("MOTHERSHIP_BIN") {
        return Ok(PathBuf::from(path));
    }
    let me = std::env::current_exe().context("the path of the running program")?;
    if me.file_name().is_some_and(|name| name == "mothership") {
        return Ok(me);
    }
    for dir in me.ancestors().skip(1).take(3) {
        let candidate = dir.join("mothership");
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    bail!(
        "no mothership program beside {}; build it with `cargo build -p mothership`, or name it \
         with MOTHERSHIP_BIN",
        me.display()
    )
}

/// The root of the workspace from which images take the product: `MOTHERSHIP_WORKSPACE`, else the
/// folder this program was built in.
pub fn workspace() -> PathBuf {
    std::env::var_os("MOTHERSHIP_WORKSPACE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
        PathBuf::from,
    )
}
