//! Completion in real shells, at a terminal of their own: what is typed, with the tab key, and what
//! the shell then calls.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

const PROGRAM: &str = env!("CARGO_BIN_EXE_kubectl-k0smotron");

const KUBECONFIG: &str = r#"{"apiVersion": "v1", "kind": "Config", "contexts": [
    {"name": "arn:aws:eks/prod", "context": {"cluster": "c", "user": "u"}},
    {"name": "admin@prod", "context": {"cluster": "c", "user": "u"}},
    {"name": "x;touch${IFS}owned|sh", "context": {"cluster": "c", "user": "u"}},
    {"name": "test", "context": {"cluster": "c", "user": "u"}}
]}"#;

/// What is typed before the tab key, and what it becomes; a space says that the word is whole.
const TYPED: [(&str, &str); 12] = [
    ("stat", "status "),
    ("list --all-n", "list --all-namespaces "),
    ("list --output=wi", "list --output=wide "),
    ("list -o na", "list -o name "),
    ("list --context te", "list --context test "),
    (
        "list --context=arn:aws:",
        "list --context=arn:aws:eks/prod ",
    ),
    ("list --context arn:", "list --context arn:aws:eks/prod "),
    ("list --context ad", "list --context admin@prod "),
    // Whoever has made a kubeconfig has chosen its names.
    ("list --context x", "list --context x;touch${IFS}owned|sh "),
    ("list --context=x", "list --context=x;touch${IFS}owned|sh "),
    ("create --from fi", "create --from file.yaml "),
    ("create --from=fi", "create --from=file.yaml "),
];

/// A home with the plugin in its PATH.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Result<Self> {
        let home = tempfile::tempdir()?;
        let bin = home.path().join("bin");
        std::fs::create_dir(&bin)?;
        std::os::unix::fs::symlink(PROGRAM, bin.join("kubectl-k0smotron"))?;
        std::fs::write(home.path().join("config"), KUBECONFIG)?;
        std::fs::write(home.path().join("file.yaml"), "")?;
        Ok(Self(home))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, program: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.path().join("bin").display());
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", path)
            .env("TERM", "dumb")
            .env("KUBECONFIG", self.path().join("config"))
            .current_dir(self.path());
        command
    }

    /// Types this at a terminal of this shell, whose setup has what is called written into a file.
    fn types(&self, shell: &str, typed: &[&str]) -> Result<Vec<String>> {
        let mut terminal = self
            .command("script")
            .args(["--quiet", "--return", "--command", shell, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting script, of Debian's bsdutils")?;
        let mut keys = terminal.stdin.take().context("no keyboard")?;
        for typed in typed {
            writeln!(keys, "kubectl-k0smotron {typed}\tx")?;
        }
        writeln!(keys, "exit")?;
        let output = terminal.wait_with_output()?;
        drop(keys);
        anyhow::ensure!(!self.path().join("owned").exists(), "a name was run");
        let called = std::fs::read_to_string(self.path().join("called"))
            .with_context(|| String::from_utf8_lossy(&output.stdout).into_owned())?;
        Ok(called.lines().map(str::to_owned).collect())
    }
}

fn typed() -> Vec<&'static str> {
    TYPED.iter().map(|(typed, _)| *typed).collect()
}

fn becomes() -> Vec<String> {
    let lines = TYPED.iter().map(|(_, becomes)| format!("{becomes}x"));
    lines.collect()
}

/// Shells that not every machine has are tried where they are.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[test]
fn bash_completes_commands_flags_values_contexts_and_files() -> Result<()> {
    let home = Home::new()?;
    let setup = "source <(kubectl-k0smotron completion bash)\n\
        kubectl-k0smotron() { echo \"$*\" >>called; }\n";
    std::fs::write(home.path().join("setup"), setup)?;
    let shell = "bash --init-file setup -i";
    assert_eq!(home.types(shell, &typed())?, becomes());
    // What is quoted already, or goes on where bash takes words apart.
    let odd = [
        r"list --context x\;t",
        r"list --context=x\;t",
        "list --context admin@p",
    ];
    std::fs::remove_file(home.path().join("called"))?;
    assert_eq!(
        home.types(shell, &odd)?,
        [
            "list --context x;touch${IFS}owned|sh x",
            "list --context=x;touch${IFS}owned|sh x",
            "list --context admin@prod x",
        ]
    );
    Ok(())
}

#[test]
fn zsh_completes_commands_flags_values_contexts_and_files() -> Result<()> {
    if !is_installed("zsh") {
        println!("zsh is not installed: not tried");
        return Ok(());
    }
    let home = Home::new()?;
    let setup = "autoload -Uz compinit && compinit -u -D\n\
        source <(kubectl-k0smotron completion zsh)\n\
        kubectl-k0smotron() { echo \"$*\" >>called }\n";
    std::fs::write(home.path().join(".zshrc"), setup)?;
    assert_eq!(home.types("zsh -i", &typed())?, becomes());
    Ok(())
}

#[test]
fn fish_completes_commands_flags_values_contexts_and_files() -> Result<()> {
    if !is_installed("fish") {
        println!("fish is not installed: not tried");
        return Ok(());
    }
    let home = Home::new()?;
    for (typed, becomes) in TYPED {
        let asked = format!(
            "kubectl-k0smotron completion fish | source; complete -C 'kubectl-k0smotron {typed}'"
        );
        let mut fish = home.command("fish");
        let output = fish.args(["--command", &asked]).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let words: Vec<&str> = said
            .lines()
            .filter_map(|line| line.split('\t').next())
            .collect();
        let expected = becomes.trim_end().rsplit(' ').next().unwrap_or_default();
        assert_eq!(words, [expected], "{output:?}");
    }
    Ok(())
}
