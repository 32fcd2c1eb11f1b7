//! What a worker machine holds before k0s starts.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{K0S, Record, SPARE_K0S, TOKEN, WorkerOptions};
use crate::components::Components;
use crate::full::node;
use crate::image::{Image, K0s};
use crate::machine::{Bind, Spec, Text};

/// What this machine asks of every kubelet, on top of the cluster's profile: it may be an old one,
/// with old control groups, and it may be nearly full.
pub(super) const KUBELET: &str = "/etc/k0s/kubelet.d";

/// Puts into the machine what `k0s worker` expects to find.
pub(super) fn furnish(
    spec: &mut Spec,
    options: &WorkerOptions,
    record: &Record,
    folder: &Path,
    k0s: &K0s,
    components: &Components,
    archives: &[(Image, PathBuf)],
) -> Result<()> {
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin).with_context(|| format!("creating {}", bin.display()))?;
    let own = bin.join("k0s");
    std::fs::copy(&k0s.program, &own).context("copying k0s")?;
    spec.copies.push(Bind {
        source: own,
        target: PathBuf::from(if options.bare { SPARE_K0S } else { K0S }),
    });
    if k0s.is_stand_in {
        for (name, path) in components.all() {
            spec.links.push(Bind {
                source: path.to_owned(),
                target: PathBuf::from(format!("/usr/local/bin/{name}")),
            });
        }
    }

    let images = folder.join("data").join("k0s").join("images");
    std::fs::create_dir_all(&images).with_context(|| format!("creating {}", images.display()))?;
    for (image, archive) in archives {
        let copy = images.join(format!("{}.tar", image.name()));
        std::fs::copy(archive, &copy).with_context(|| format!("writing {}", copy.display()))?;
    }

    spec.binds.push(Bind {
        source: PathBuf::from("/usr/lib/cni"),
        target: PathBuf::from("/opt/cni/bin"),
    });
    let mut file = |path: &str, text: String| {
        spec.files.push(Text {
            path: PathBuf::from(path),
            text,
        });
    };
    file("/etc/resolv.conf", "nameserver 127.0.0.1\n".to_owned());
    file(
        "/etc/hosts",
        format!("127.0.0.1 localhost\n127.0.1.1 {}\n", record.name),
    );
    file(
        "/etc/cni/net.d/10-pods.conflist",
        node::cni(&format!("10.244.{}.0/24", record.index))?,
    );
    // Without CAP_SYS_RESOURCE a process may not lower anybody's OOM score.
    file(
        "/etc/k0s/containerd.d/oom.toml",
        "version = 3\n\n[plugins.\"io.containerd.cri.v1.runtime\"]\nrestrict_oom_score_adj = true\n"
            .to_owned(),
    );
    file(
        &format!("{KUBELET}/machine.conf"),
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": false,
            "evictionHard": node::eviction(),
        })
        .to_string(),
    );
    if k0s.is_stand_in {
        file("/etc/k0s-standin/version", format!("{}\n", k0s.release));
    }
    if let Some(token) = &options.token {
        file(TOKEN, token.clone());
    }
    Ok(())
}
