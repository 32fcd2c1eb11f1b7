//! What others have written, in a pipe: whole, and nothing that a terminal behind it would obey where
//! colours are asked for.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

/// The second line begins what a terminal reads on to its end, which does not come.
const LOG: &str = "one\n\u{1b}]0;begun\ntwo\n\u{1b}[8mhidden\u{1b}[0m\nthree\n";
const SHOWN: &str = "one\n^[]0;begun\ntwo\n^[[8mhidden^[[0m\nthree\n";

/// A mothership with one cluster, whose one pod has this log.
fn answer(path: &str) -> Vec<u8> {
    let path = path.split('?').next().unwrap_or_default();
    let object = |value: Value| value.to_string().into_bytes();
    match path.rsplit('/').next() {
        Some("log") => LOG.as_bytes().to_vec(),
        Some("pods") => object(json!({"metadata": {}, "items": [{"metadata": {"name": "a"}}]})),
        _ => object(
            json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
            "metadata": {"name": "demo", "namespace": "default"}}),
        ),
    }
}

fn serve(stream: TcpStream) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut line) = (String::new(), String::new());
    reader.read_line(&mut first)?;
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let body = answer(first.split(' ').nth(1).unwrap_or_default());
    let mut stream = reader.into_inner();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)?;
    Ok(())
}

#[test]
fn a_log_comes_whole_and_with_colours_obeyed_by_nobody() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let server = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || listener.incoming().flatten().try_for_each(serve));
    let home = tempfile::tempdir()?;
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": ""}}]});
    std::fs::write(home.path().join("config"), config.to_string())?;
    for (flags, forced, printed) in [
        (vec![], None, LOG),
        (vec!["--color", "never"], Some("1"), LOG),
        (vec!["--color", "always"], None, SHOWN),
        (vec![], Some("1"), SHOWN),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_kubectl-k0smotron"))
            .env_clear()
            .env("HOME", home.path())
            .env("KUBECONFIG", home.path().join("config"))
            .envs(forced.map(|value| ("CLICOLOR_FORCE", value)))
            .args(["logs", "demo"])
            .args(&flags)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            printed,
            "{flags:?} {said}"
        );
    }
    Ok(())
}
