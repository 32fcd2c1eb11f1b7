//! What a process has used.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Clock ticks a second, which Linux has in /proc on every architecture.
const TICKS: f64 = 100.0;

fn folder(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

/// Seconds of a processor, of all its threads, those that have ended included.
pub fn cpu(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(folder(pid).join("stat"))
        .with_context(|| format!("process {pid} has ended"))?;
    // The name in parentheses may hold spaces; the state follows it as field 3.
    let (_, rest) = stat.rsplit_once(')').context("a short stat")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |number: usize| -> Result<f64> {
        Ok(fields.get(number - 3).context("a short stat")?.parse()?)
    };
    Ok((ticks(14)? + ticks(15)?) / TICKS)
}

/// The same to the nanosecond, of the threads that there are now: for what takes hardly any.
pub fn cpu_of_threads(pid: u32) -> Result<Duration> {
    let mut total = 0;
    for task in std::fs::read_dir(folder(pid).join("task"))?.flatten() {
        // A thread may have ended meanwhile.
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let ran = text.split_whitespace().next();
        total += ran.and_then(|ran| ran.parse().ok()).unwrap_or(0_u64);
    }
    Ok(Duration::from_nanos(total))
}

/// Memory in MiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident at most so far.
    pub peak: f64,
    /// Resident.
    pub resident: f64,
    /// The same, with what is shared divided by who shares it.
    pub proportional: f64,
}

pub fn memory(pid: u32) -> Result<Memory> {
    let mib = |file: &str, name: &str| -> Result<f64> {
        let text = std::fs::read_to_string(folder(pid).join(file))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kib: f64 = line
            .and_then(|line| line.split_whitespace().next())
            .with_context(|| format!("no {name} in {file}"))?
            .parse()?;
        Ok(kib / 1024.0)
    };
    Ok(Memory {
        peak: mib("status", "VmHWM:")?,
        resident: mib("status", "VmRSS:")?,
        proportional: mib("smaps_rollup", "Pss:")?,
    })
}
