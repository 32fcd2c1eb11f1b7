//! Who reaches whom, asked from inside the network of a process of this machine.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

/// A process of a pod, found by the pod's uid in its control group.
pub fn process_of(pod: &str, program: &str) -> Result<i32> {
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file));
        let (Ok(line), Ok(group)) = (read("cmdline"), read("cgroup")) else {
            continue;
        };
        let path = line.split('\0').next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        if name == program && group.contains(pod) {
            return Ok(entry.file_name().to_string_lossy().parse()?);
        }
    }
    bail!("no {program} in the pod {pod}")
}

/// Whether a command ends well in the network of a process.
async fn succeeds(process: i32, command: &str) -> Result<bool> {
    let output = Command::new("nsenter")
        .arg(format!("--target={process}"))
        .args(["--net", "--", "bash", "-c", command])
        .output()
        .await
        .context("running nsenter")?;
    let error = String::from_utf8_lossy(&output.stderr);
    if error.contains("nsenter:") || output.status.code() == Some(127) {
        bail!("nsenter into {process}: {error}");
    }
    Ok(output.status.success())
}

/// Whether a TCP connection comes about within two seconds.
pub async fn connects(process: i32, address: &str, port: u16) -> Result<bool> {
    let command = format!("timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/{port}'");
    succeeds(process, &command).await
}

/// Whether an echo request is answered within two seconds.
pub async fn pings(process: i32, address: Ipv4Addr) -> Result<bool> {
    succeeds(process, &format!("busybox ping -c 1 -W 2 {address}")).await
}
