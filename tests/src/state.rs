//! What a run leaves in its state folder for later commands.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::supervisor::Record;

const FILE: &str = "mothership.json";

/// Which parts run.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// etcd, API server and controller manager as processes on loopback.
    Light,
    /// All of Kubernetes with one node, in a machine of its own.
    Full,
}

/// The contents of `mothership.json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Which parts run.
    pub level: Level,
    /// The API server's URL.
    pub server: String,
    /// The node's address; full level only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_ip: Option<Ipv4Addr>,
    /// The second byte of all its addresses in 10.0.0.0/8; full level only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<u8>,
    /// Whether starting got to its end.
    pub ready: bool,
}

impl State {
    /// Reads it. The folder must hold a run.
    pub fn read(dir: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(dir.join(FILE))
            .map_err(|_| Failure::NotRunning(dir.to_owned()))?;
        serde_json::from_str(&text).with_context(|| format!("reading {FILE}"))
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        // Renamed into place, so that nobody reads half of it.
        let scratch = dir.join(format!(".{FILE}"));
        std::fs::write(&scratch, serde_json::to_string_pretty(self)?)
            .and_then(|()| std::fs::rename(&scratch, dir.join(FILE)))
            .with_context(|| format!("writing {FILE} in {}", dir.display()))
    }
}

/// The folder as an absolute path, made if need be; an error when it holds another run or
/// something else.
pub(crate) fn claim(dir: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    let dir = dir
        .canonicalize()
        .with_context(|| format!("looking up {}", dir.display()))?;
    if dir.join(FILE).exists() || dir.join("machine").exists() {
        let alive = Record::read(&dir).is_some_and(|record| record.supervisor.is_alive())
            || crate::state::machine_is_alive(&dir);
        let detail = if alive {
            "a mothership runs already"
        } else {
            "the last run left things behind"
        };
        bail!(Failure::Leftovers {
            dir,
            detail: detail.to_owned()
        });
    }
    if std::fs::read_dir(&dir)?.next().is_some() {
        bail!(Failure::Usage(format!(
            "{} is not empty and no mothership's folder; name another one with --dir",
            dir.display()
        )));
    }
    Ok(dir)
}

fn machine_is_alive(dir: &Path) -> bool {
    Record::read(&dir.join("machine").join("mothership"))
        .is_some_and(|record| record.supervisor.is_alive())
}
