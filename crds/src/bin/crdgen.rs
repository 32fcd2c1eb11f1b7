//! Writes `yaml/` and `examples/` of this crate, or checks that they are up to date.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crds::generate;

const USAGE: &str = "\
usage: crdgen [--check] [DIR]

Writes the CustomResourceDefinitions and the examples below DIR (default: crds).

  --check   write nothing; name the files that are stale and exit with 1";

fn main() -> ExitCode {
    let mut check = false;
    let mut dir = PathBuf::from("crds");
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--check" => check = true,
            "-h" | "--help" => return say(&mut io::stdout(), USAGE, 0),
            other if other.starts_with('-') => {
                return say(
                    &mut io::stderr(),
                    &format!("unknown option {other}\n\n{USAGE}"),
                    2,
                );
            }
            other => dir = PathBuf::from(other),
        }
    }
    match run(&dir, check) {
        Ok(stale) if stale.is_empty() => ExitCode::SUCCESS,
        Ok(stale) => {
            let list = stale.join("\n");
            say(
                &mut io::stderr(),
                &format!("stale, run crdgen and commit the result:\n{list}"),
                1,
            )
        }
        Err(error) => say(&mut io::stderr(), &format!("crdgen: {error}"), 2),
    }
}

fn say(out: &mut impl Write, text: &str, code: u8) -> ExitCode {
    match writeln!(out, "{text}") {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Names of stale files, when checking.
fn run(dir: &Path, check: bool) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    if !dir.join("Cargo.toml").is_file() {
        return Err(format!(
            "{} is not the folder of the crate crds; name it",
            dir.display()
        )
        .into());
    }
    let files = generate::files()?;
    let mut stale: Vec<String> = ["yaml", "examples"]
        .into_iter()
        .flat_map(|folder| present(dir, folder))
        .filter(|path| !files.iter().any(|file| file.path == *path))
        .map(|path| format!("{path} (nothing makes it any more)"))
        .collect();
    for file in files {
        let path = dir.join(&file.path);
        let current = fs::read_to_string(&path).ok();
        if current.as_deref() == Some(file.content.as_str()) {
            continue;
        }
        if check {
            stale.push(file.path);
        } else {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(path, file.content)?;
        }
    }
    Ok(stale)
}

fn present(dir: &Path, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(dir.join(folder))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy()))
        .collect()
}
