//! A real cloud-init in a worker machine, given user data as by a cloud.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{PATH, Worker};
use crate::requirements;

const SEED: &str = "/var/lib/cloud/seed/nocloud";
/// The only cloud is the seed; network, disks and packages are the harness's.
const CONFIG: &str = "\
datasource_list: [NoCloud]
# Not a disk of the host either, which a machine sees in /dev.
datasource: {NoCloud: {fs_label: null}}
network: {config: disabled}
growpart: {mode: 'off'}
resize_rootfs: false
apt_preserve_sources_list: true
# The only one that every Debian has.
locale: C.UTF-8
";
/// What a booting machine runs, one unit after the other.
const STAGES: [&[&str]; 4] = [
    &["init", "--local"],
    &["init"],
    &["modules", "--mode=config"],
    &["modules", "--mode=final"],
];

/// What came of a first boot.
#[derive(Clone, Debug)]
pub struct Initialised {
    /// Errors that cloud-init records, empty when all went well.
    pub errors: Vec<String>,
    /// What its modules and the commands of the user data said.
    pub output: String,
}

impl Worker {
    /// Runs all stages of cloud-init's first boot with this user data.
    ///
    /// A command of the user data that fails is no error here: it is in what comes back, as it
    /// would be in the machine.
    pub async fn cloud_init(&self, user_data: &str) -> Result<Initialised> {
        requirements::check(requirements::GUEST)?;
        let old = "rm -rf /etc/cloud/cloud-init.disabled /var/lib/cloud /run/cloud-init \
                   /var/log/cloud-init-output.log";
        self.output(&["sh", "-c", old]).await?;
        let meta = json!({"instance-id": self.name(), "local-hostname": self.name()}).to_string();
        for (path, text) in [
            ("/etc/cloud/cloud.cfg.d/99-machine.cfg", CONFIG),
            (&format!("{SEED}/meta-data"), &meta),
            (&format!("{SEED}/user-data"), user_data),
        ] {
            self.put(path, text.as_bytes(), 0o600).await?;
        }
        let path = format!("PATH={PATH}");
        let mut said = String::new();
        for stage in STAGES {
            let mut command = self.machine.command("env")?;
            command
                .args(["--ignore-environment", &path, "HOME=/root", "cloud-init"])
                .args(stage)
                .stdin(std::process::Stdio::null());
            let output = tokio::process::Command::from(command)
                .output()
                .await
                .with_context(|| format!("running cloud-init {}", stage.join(" ")))?;
            said.push_str(&String::from_utf8_lossy(&output.stdout));
            said.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        let Ok(result) = self.output(&["cat", "/run/cloud-init/result.json"]).await else {
            bail!("cloud-init came to no result: {said}")
        };
        let result: Value = serde_json::from_str(&result).context("reading cloud-init's result")?;
        let errors = result.pointer("/v1/errors").and_then(Value::as_array);
        Ok(Initialised {
            errors: errors.into_iter().flatten().map(Value::to_string).collect(),
            output: said,
        })
    }
}
