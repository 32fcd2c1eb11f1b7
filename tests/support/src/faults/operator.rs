//! The program that is tested: a controller, started by a command line, ended and started again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::light::process::dies_with_us;

/// The place of the namespace in a command line.
const NAMESPACE: &str = "{namespace}";

/// How to start the program that is tested.
#[derive(Clone, Debug)]
pub struct Program {
    words: Vec<String>,
}

impl Program {
    /// From words, with `{namespace}` where the namespace belongs.
    pub fn new(words: Vec<String>) -> Result<Self> {
        ensure!(
            !words.is_empty(),
            "the operator's command line must not be empty"
        );
        Ok(Self { words })
    }

    /// A text in place of another in all of them.
    pub fn fill(&mut self, place: &str, text: &str) {
        for word in &mut self.words {
            *word = word.replace(place, text);
        }
    }

    /// Further words.
    pub fn add(&mut self, words: &[&str]) {
        self.words
            .extend(words.iter().map(|word| (*word).to_owned()));
    }

    /// Another word in place of one.
    pub fn replace(&mut self, word: &str, other: &str) {
        for found in self.words.iter_mut().filter(|found| *found == word) {
            other.clone_into(found);
        }
    }

    /// Whether several can run beside each other, each in its namespace.
    pub fn keeps_to_a_namespace(&self) -> bool {
        self.words.iter().any(|word| word.contains(NAMESPACE))
    }

    fn spawn(&self, namespace: &str, kubeconfig: &Path, log: &Path) -> Result<Child> {
        let output = File::options().create(true).append(true).open(log)?;
        let words: Vec<_> = self
            .words
            .iter()
            .map(|word| word.replace(NAMESPACE, namespace))
            .collect();
        let (program, args) = words.split_first().context("a command line")?;
        dies_with_us(program)
            .args(args)
            .env_clear()
            .env("KUBECONFIG", kubeconfig)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {program}"))
    }
}

#[derive(Debug)]
struct Running {
    program: Program,
    namespace: String,
    kubeconfig: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    /// How it ended by itself, which it must not.
    ended: Vec<String>,
}

impl Running {
    fn start(&mut self) -> Result<()> {
        self.child = Some(
            self.program
                .spawn(&self.namespace, &self.kubeconfig, &self.log)?,
        );
        Ok(())
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A running program; it ends with the last handle.
#[derive(Clone, Debug)]
pub struct Operator(Arc<Mutex<Running>>);

impl Operator {
    /// Starts one.
    pub fn start(
        program: &Program,
        namespace: &str,
        kubeconfig: PathBuf,
        log: PathBuf,
    ) -> Result<Self> {
        let mut running = Running {
            program: program.clone(),
            namespace: namespace.to_owned(),
            kubeconfig,
            log,
            child: None,
            ended: Vec::new(),
        };
        running.start()?;
        Ok(Self(Arc::new(Mutex::new(running))))
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// SIGKILL, and a new start, as a kubelet does it.
    pub fn restart(&self) -> Result<()> {
        self.look_after()?;
        let mut running = self.running();
        running.kill();
        running.start()
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.running().child.as_ref().map(Child::id)
    }

    /// SIGTERM, and waits for its end as it should be.
    pub async fn ends(&self, within: Duration) -> Result<()> {
        self.look_after()?;
        let Some(id) = self.id() else {
            return Ok(());
        };
        kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGTERM)?;
        let told = Instant::now();
        while told.elapsed() < within {
            {
                let mut running = self.running();
                // A fault may have ended it, and started it again.
                let Some(child) = running.child.as_mut().filter(|child| child.id() == id) else {
                    return Ok(());
                };
                if let Some(status) = child.try_wait()? {
                    running.child = None;
                    ensure!(status.success(), "it ended with {status} after SIGTERM");
                    return Ok(());
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("it has not ended {within:?} after SIGTERM")
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.running().kill();
    }

    /// Starts it again when it has ended by itself, and notes that.
    pub fn look_after(&self) -> Result<()> {
        let mut running = self.running();
        let Some(child) = &mut running.child else {
            return Ok(());
        };
        if let Some(status) = child.try_wait()? {
            running.ended.push(status.to_string());
            running.start()?;
        }
        Ok(())
    }

    /// How often it ended by itself, and how.
    pub fn ended(&self) -> Vec<String> {
        self.running().ended.clone()
    }

    /// Nobody is going to read what it has said.
    pub fn forget_log(&self) {
        let _ = std::fs::remove_file(&self.running().log);
    }

    /// What it has said.
    pub fn log(&self) -> String {
        let path = self.running().log.clone();
        std::fs::read(&path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }
}
